"""Document: the routes about rules as OpenAPI describes them, out."""

from __future__ import annotations

from typing import Any

from serving.problems import MEDIA_TYPE, Problem
from serving.rules.dry_run import TriedRules, TryRules
from serving.rules.routes import RuleLog, RuleSet, StoredRule
from serving.rules.rule import Rule

TYPES = (
    Rule,
    RuleSet,
    RuleLog,
    StoredRule,
    TryRules,
    TriedRules,
    Problem,
)  # whose schemas `paths` points to

Json = dict[str, Any]


def paths() -> Json:
    """The paths with their operations."""
    id = {"type": "string", "pattern": "^(?!log$)[A-Za-z0-9_.-]{1,64}$"}
    named = {
        "name": "rule_id",
        "in": "path",
        "required": True,
        "description": "the operator's own name for it; of rules that compete the first name wins",
        "schema": id,
    }
    after = {
        "name": "after",
        "in": "query",
        "description": "a version; only later changes are wanted",
        "schema": {"type": "integer", "minimum": 0, "maximum": 10**15 - 1, "default": 0},
    }
    return {
        "/v1/rules": {
            "get": _operation(
                "rules", "All rules, what each touches, and what contradicts", "RuleSet"
            )
        },
        "/v1/rules/log": {
            "get": _operation(
                "rulesLog",
                "Who changed which rule, when, from what to what",
                "RuleLog",
                400,
                parameters=[after],
            )
        },
        "/v1/rules/{rule_id}": {
            "put": _operation(
                "putRule",
                "Set a rule: durable and in use when answered",
                "StoredRule",
                *(400, 413, 422),
                parameters=[named],
                requestBody=_body("Rule"),
            ),
            "delete": _operation(
                "deleteRule", "Remove a rule", "StoredRule", 400, 404, parameters=[named]
            ),
        },
        "/v1/rules:dry-run": {
            "post": _operation(
                "tryRules",
                "TriedList before and after a change of rules; nothing is stored",
                "TriedRules",
                *(400, 413, 422),
                requestBody=_body("TryRules"),
            )
        },
    }


def _operation(id: str, summary: str, schema: str, *statuses: int, **more: Any) -> Json:
    about = {
        400: "a parameter or the body cannot be read; `parameter` names it",
        404: "there is no such rule",
        413: "the body is too large",
        422: "a value in the body cannot be meant; `parameter` names it",
        503: "no bundle is loaded, or the change cannot be made durable now",
    }
    problem = {MEDIA_TYPE: {"schema": {"$ref": _ref("Problem")}}}
    good = {"application/json": {"schema": {"$ref": _ref(schema)}}}
    return {
        "operationId": id,
        "summary": summary,
        "tags": ["rules"],
        **more,
        "responses": {
            "200": {"description": summary, "content": good},
            **{str(s): {"description": about[s], "content": problem} for s in (*statuses, 503)},
        },
    }


def _body(schema: str) -> Json:
    return {"required": True, "content": {"application/json": {"schema": {"$ref": _ref(schema)}}}}


def _ref(name: str) -> str:
    return f"#/components/schemas/{name}"
