// Pictures: a product's title and category in, a drawing out; the same product, the same drawing.
const NS = "http://www.w3.org/2000/svg";

// Each drawing stands on y = 162. Shapes: [r]ect x y w h radius, [c]ircle x y r, [p]ath, [l]ine of a
// width; colours: a the thing's own, b darker, c lighter, w white.
const DRAWINGS = {
  pump: ["r 70 74 60 88 16 a", "r 88 56 24 20 4 b", "p M94 58V42h30a8 8 0 0 1 8 8v4h-20v4z b", "r 70 104 60 34 0 c", "l M82 116h36M82 126h22 4 a"],
  bottle: ["p M88 44h24v32c0 14 16 20 16 40v38a8 8 0 0 1-8 8H80a8 8 0 0 1-8-8v-38c0-20 16-26 16-40z a", "r 86 36 28 18 4 b", "r 72 114 56 28 0 c", "c 100 128 7 a"],
  jar: ["r 56 92 88 70 18 a", "r 52 68 96 28 9 b", "r 56 114 88 26 0 c", "l M72 127h56 4 a"],
  pouch: ["p M64 58h72l10 96a8 8 0 0 1-8 8H62a8 8 0 0 1-8-8z a", "r 60 44 80 20 5 b", "c 100 112 24 c", "p M100 126c-16-10-14-26 0-26s16 16 0 26z a"],
  tin: ["r 58 58 84 104 14 a", "r 58 58 84 18 9 b", "r 58 92 84 40 0 c", "l M74 106h52M74 118h34 4 a"],
  cup: ["l M132 94h8a17 17 0 0 1 0 36h-10 9 b", "p M56 80h82l-6 68a14 14 0 0 1-14 14H76a14 14 0 0 1-14-14z a", "r 52 74 90 12 6 b", "l M82 60q-8-9 0-18t0-16M106 60q-8-9 0-18t0-16 5 c"],
  dress: ["p M80 38q20 18 40 0l8 4-8 44 30 66q-50 20-100 0l30-66-8-44z a", "p M79 82h42l4 10H75z b", "l M84 104l-14 50M116 104l14 50M100 104v58 3 b"],
  shirt: ["p M76 48 40 70l14 34 14-8v66h64V96l14 8 14-34-36-22q-24 22-48 0z a", "p M76 48q24 26 48 0l-8-6q-16 14-32 0z b", "l M100 68v94 3 b", "c 100 88 3 c", "c 100 112 3 c", "c 100 136 3 c"],
  jumper: ["p M76 46 44 64 34 148h22l10-44v58h68v-58l10 44h22L156 64l-32-18q-24 20-48 0z a", "r 80 38 40 16 8 b", "l M66 108h68M66 124h68 7 c", "r 66 150 68 12 3 b"],
  leggings: ["p M70 44h60l8 118h-26l-12-74-12 74H62z a", "r 68 40 64 16 5 b"],
  sock: ["p M78 40h40v62l26 24a20 20 0 0 1-14 36h-20a26 26 0 0 1-20-9l-8-10a18 18 0 0 1-4-12z a", "r 74 36 48 20 6 b", "p M144 126a20 20 0 0 1-14 36h-10q4-26 24-36z b", "l M78 72h40M78 88h40 6 c"],
  shoe: ["p M38 148V98q22 12 36-6l10-14q12 26 40 34 36 10 38 36z a", "r 34 146 132 16 8 b", "l M90 98l14-10M104 108l14-10M118 114l12-9 5 c"],
  swimsuit: ["p M78 40v32q22 20 44 0V40h10v50q-6 20 8 40-22 8-26 32H86q-4-24-26-32 14-20 8-40V40z a", "l M72 100q28 10 56 0 6 c"],
  headphones: ["l M56 122v-14a44 44 0 0 1 88 0v14 11 b", "r 40 110 32 52 15 a", "r 128 110 32 52 15 a", "r 62 114 12 44 6 c", "r 126 114 12 44 6 c"],
  lamp: ["r 96 96 8 60 0 b", "r 68 152 64 10 5 b", "p M74 42h52l22 60H52z a", "p M88 42h14l-10 60H72z c"],
  lights: ["l M24 56q76 70 152 0 4 b", "p M46 78q-12 18 0 30 12-12 0-30z a", "p M82 94q-12 18 0 30 12-12 0-30z c", "p M118 94q-12 18 0 30 12-12 0-30z a", "p M154 78q-12 18 0 30 12-12 0-30z c"],
  pan: ["r 36 104 96 58 20 a", "r 30 92 108 16 8 b", "r 134 94 52 13 6 b", "c 84 84 9 b", "l M52 126h40 5 c"],
  kettle: ["l M66 76q34-56 68 0 9 b", "p M66 78h68l12 74a10 10 0 0 1-10 10H64a10 10 0 0 1-10-10z a", "p M136 96l30-16 4 8-30 34z b", "l M72 100l-6 44 5 c"],
  box: ["p M46 80l54-26 54 26-54 24z c", "p M46 80l54 24v60l-54-26z a", "p M154 80l-54 24v60l54-26z b"],
  game: ["r 52 66 96 96 18 a", "c 78 92 9 c", "c 122 92 9 c", "c 100 114 9 c", "c 78 136 9 c", "c 122 136 9 c", "r 140 66 8 96 4 b"],
  bear: ["c 70 66 17 b", "c 130 66 17 b", "r 62 112 76 50 24 b", "c 100 92 42 a", "c 100 106 17 c", "c 84 86 5 b", "c 116 86 5 b", "p M93 100h14l-7 8z b"],
  train: ["r 44 104 108 42 8 a", "r 108 68 44 40 6 b", "r 118 78 24 18 3 c", "r 58 84 18 24 3 b", "c 66 150 13 b", "c 100 150 13 b", "c 134 150 13 b"],
  plant: ["p M100 116C56 104 50 64 58 40c38 12 50 44 42 76z a", "p M100 116c-4-34 12-62 46-70 6 32-10 60-46 70z c", "l M100 126q0-44-22-64 3 b", "p M64 116h72l-9 46H73z b"],
  tote: ["l M76 92V76a24 24 0 0 1 48 0v16 8 b", "p M52 86h96l6 68a8 8 0 0 1-8 8H54a8 8 0 0 1-8-8z a", "c 100 124 15 c"],
  backpack: ["l M84 52v-6a16 16 0 0 1 32 0v6 7 b", "r 56 50 88 112 34 a", "r 68 108 64 42 12 b", "r 88 106 24 10 4 c", "l M72 88h56 5 c"],
  book: ["r 56 44 90 118 8 b", "r 64 44 82 108 5 a", "r 62 150 84 8 2 c", "r 80 66 50 30 3 c", "l M84 116h42M84 128h28 4 c"],
  pen: ["p M58 154l8-30 66-76 24 20-68 76z a", "p M58 154l8-30 22 20z c", "p M118 64l24 20 14-16-24-20z b"],
  bedding: ["r 36 128 128 34 15 b", "r 42 98 116 36 16 a", "r 52 66 96 38 18 c", "l M66 86h44 4 a"],
  pillow: ["p M38 86q62-20 124 0 12 38 0 72-62 14-124 0-12-34 0-72z a", "p M52 98q48-12 96 0 8 24 0 48-48 8-96 0-8-24 0-48z c", "l M76 122h48 4 a"],
  throw: ["r 56 46 88 100 10 a", "r 56 46 44 100 10 b", "l M56 72h88M56 96h88M56 120h88 6 c", "l M62 146v12M76 146v12M90 146v12M110 146v12M124 146v12M138 146v12 4 b"],
  ring: ["l M100 84a39 39 0 1 1-.1 0 12 a", "p M78 62l12-20h20l12 20-22 26z c", "p M78 62h44l-22 26z b"],
  necklace: ["l M48 44q4 78 52 78t52-78 5 b", "p M84 126l16-14 16 14-16 34z a", "p M84 126h32l-16 34z c"],
  helmet: ["p M36 136a64 66 0 0 1 128 0z a", "l M78 78q-12 24-10 56M122 78q12 24 10 56M100 72v62 8 c", "r 32 132 136 14 7 b", "l M66 146q10 16 34 16t34-16 4 b"],
  wheel: ["l M100 76a43 43 0 1 1-.1 0 10 b", "l M100 82v74M64 119h72M75 93l50 52M125 93l-50 52 3 c", "c 100 119 11 a"],
  lipstick: ["r 78 106 44 56 5 b", "r 84 84 32 26 3 c", "p M86 86V56l28-18v48z a"],
  drill: ["p M38 66h84a12 12 0 0 1 12 12v12a12 12 0 0 1-12 12H98l-6 48H58l6-48H38z a", "r 52 148 50 14 5 b", "r 134 79 14 14 3 b", "r 146 83 32 6 3 b", "l M50 80h40 5 c"],
  candle: ["p M100 30c18 20 16 36 0 38-16-2-18-18 0-38z c", "l M100 60v22 4 b", "r 66 80 68 82 10 a", "r 66 104 68 30 0 c"],
  tent: ["p M100 50l70 112H30z a", "p M100 50l70 112h-42z b", "p M94 92l28 70H70z c"],
  mat: ["r 34 90 116 72 36 a", "c 128 126 36 b", "c 128 126 22 c", "c 128 126 9 b"],
  goggles: ["l M74 92a27 27 0 1 1-.1 0M126 92a27 27 0 1 1-.1 0 10 a", "l M92 108q8-8 16 0M48 110l-16-10M152 110l16-10 7 b", "c 74 119 16 c", "c 126 119 16 c"],
  frame: ["r 48 40 104 122 4 b", "r 60 52 80 98 2 w", "p M60 150v-26l24-30 20 24 14-14 22 26v20z a", "c 118 78 11 c"],
  clock: ["c 100 106 56 b", "c 100 106 45 w", "l M100 78v30l20 14 6 a"],
  phone: ["r 64 36 72 126 16 a", "r 72 64 56 86 8 c", "c 84 50 7 b", "c 102 50 7 b"],
  perfume: ["r 60 90 80 72 12 a", "r 90 68 20 24 2 b", "r 80 46 40 24 6 b", "r 72 118 56 32 6 c"],
  cartridge: ["r 44 74 112 88 8 a", "r 62 54 76 24 5 b", "r 60 96 80 34 4 c", "c 78 113 8 b", "c 100 113 8 a", "c 122 113 8 b"],
  lantern: ["l M74 70a26 26 0 0 1 52 0 6 b", "r 66 66 68 16 6 b", "r 72 82 56 66 4 c", "p M100 94c14 18 12 34 0 38-12-4-14-20 0-38z a", "r 62 146 76 16 6 b"],
  feeder: ["p M100 42l52 40H48z b", "r 62 82 76 56 4 a", "r 44 134 112 14 6 b", "c 100 108 15 c", "l M100 148v14 8 b"],
  gift: ["r 52 84 96 78 8 a", "r 44 70 112 24 6 b", "r 92 70 16 92 0 c", "l M100 68q-34-8-24-24t24 24q14-40 24-24t-24 24 7 c"],
};

// What the title, or else the category, has to say for a drawing; the first that fits.
const WORDS = [
  ["backpack|weekender", "backpack"], ["tote|bag\\b|crossbody", "tote"], ["bear|plush|doll|toy dog", "bear"], ["train", "train"],
  ["headphone|earbud|headset|speaker", "headphones"], ["necklace|pendant necklace", "necklace"], ["earring|ring\\b|bracelet|jewel", "ring"],
  ["string lights|fairy", "lights"], ["lantern|stove", "lantern"], ["candle|t-light|tea lights", "candle"], ["lamp|pendant|lighting|light\\b", "lamp"],
  ["bike|cycl|saddle", "wheel"], ["cookbook|book|novel|biography|guide|planner|notebook|sketch", "book"], ["dress|skirt", "dress"], ["jumper|cardigan|roll-neck|knit|sweater|hoodie", "jumper"], ["shirt|polo|top\\b|jersey|blouse", "shirt"],
  ["legging|trouser|jean|shorts", "leggings"], ["swimsuit|bikini", "swimsuit"], ["sock|tights", "sock"], ["shoe|trainer|boot|sneaker", "shoe"],
  ["goggles|lens|glasses", "goggles"], ["coffee|espresso|capsule|brew", "cup"], ["tea\\b|earl grey|infusion|matcha", "tin"], ["mug|cup\\b", "cup"],
  ["wine|oil\\b|vinegar|spirit", "bottle"], ["parfum|toilette|mist|fragrance|serum", "perfume"], ["mascara|lipstick|make-up", "lipstick"],
  ["cream|balm|mask|foundation|blusher|powder|vitamin|omega|magnesium|supplement", "jar"], ["shampoo|conditioner|lotion|liquid|cleaner|foam|solution", "pump"],
  ["food|treat|chews|nuts|crackers|wipes|nappies|tablets|formula|pet\\b|snack|fruit bar|baby", "pouch"], ["chocolate|bars", "gift"],
  ["watering|kettle|blender|toaster|scale|teapot|jug", "kettle"], ["pan\\b|saucepan|casserole|wok|cook|bowl", "pan"], ["planter|garden|shears|watering|plant|flower|herb", "plant"],
  ["feeder|bird", "feeder"], ["clock", "clock"], ["print\\b|frame|canvas|art\\b|picture|sign\\b", "frame"], ["cartridge|toner|ink\\b", "cartridge"],
  ["case|phone|screen", "phone"], ["game|puzzle", "game"], ["pen\\b|pencil", "pen"], ["station", "book"],
  ["pillow|cushion", "pillow"], ["throw|blanket|rug", "throw"], ["duvet|linen|bedding|towel", "bedding"], ["helmet", "helmet"], ["tool box", "box"], ["drill|tool|screwdriver|level", "drill"],
  ["tent|camp", "tent"], ["mat\\b|yoga|strap|block", "mat"], ["box|set\\b|toy", "box"],
].map(([words, name]) => [new RegExp("\\b(?:" + words + ")", "i"), name]);

// A thing's own colour, darker, lighter; and grounds with a patch and a shadow, by category.
const PALETTE = [
  ["#c8654a", "#8f3f2b", "#f3d3c4"], ["#2f8577", "#1c5a50", "#bfe3da"], ["#3f5f9a", "#27406e", "#cbd9f0"],
  ["#d39a3a", "#96681c", "#f6e2b5"], ["#7d4f7f", "#54325a", "#e3cde4"], ["#6f9160", "#486540", "#d6e6cc"],
  ["#c25b76", "#8a3850", "#f5cfd9"], ["#55707f", "#37505d", "#cfdde4"], ["#a8744f", "#754b2f", "#ecd6c3"],
  ["#4b8fb3", "#2e6685", "#cbe5f2"],
];
const GROUNDS = [
  ["#f1ece4", "#e6dccd", "#d3c6b3"], ["#e6efec", "#d5e5df", "#bccfc8"], ["#e9ecf4", "#d9dfee", "#c2cadd"],
  ["#f5e9e4", "#edd9d0", "#dbc1b6"], ["#f0eaf2", "#e4d9e8", "#cec0d4"], ["#eef1e4", "#e0e7cf", "#cad3b4"],
  ["#f6eedb", "#eee0c0", "#dac9a2"], ["#e6f0f4", "#d3e4ec", "#b9cfd9"],
];

export function picture(title, category) {
  const text = title || "";
  const found = WORDS.find(([words]) => words.test(text)) ?? WORDS.find(([words]) => words.test(category || ""));
  const seed = hash(text);
  const [ground, patch, shadow] = GROUNDS[hash(category || text.split(" ")[0]) % GROUNDS.length];
  const [a, b, c] = PALETTE[seed % PALETTE.length];
  const colours = { a, b, c, w: "#fff" };
  const svg = make("svg", { viewBox: "0 0 200 200", "aria-hidden": "true", focusable: "false", class: "picture" });
  svg.append(
    make("rect", { width: 200, height: 200, fill: ground }),
    make("circle", { cx: 30 + seed % 140, cy: 40 + (seed >>> 6) % 70, r: 62 + (seed >>> 3) % 30, fill: patch }),
    make("ellipse", { cx: 100, cy: 163, rx: 66, ry: 8, fill: shadow }),
    ...DRAWINGS[found?.[1] ?? "gift"].map((shape) => drawn(shape, colours)),
  );
  return svg;
}

function drawn(shape, colours) {
  const kind = shape[0], parts = shape.slice(2).split(" ");
  const colour = colours[parts.pop()];
  if (kind === "r") {
    const [x, y, width, height, rx] = parts;
    return make("rect", { x, y, width, height, rx, fill: colour });
  }
  if (kind === "c") return make("circle", { cx: parts[0], cy: parts[1], r: parts[2], fill: colour });
  if (kind === "p") return make("path", { d: parts.join(" "), fill: colour });
  const width = parts.pop();
  return make("path", { d: parts.join(" "), fill: "none", stroke: colour, "stroke-width": width, "stroke-linecap": "round", "stroke-linejoin": "round" });
}

function make(name, attributes) {
  const element = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function hash(text) { // FNV-1a
  let h = 2166136261;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 16777619);
  return (h ^ (h >>> 15)) >>> 0;
}
