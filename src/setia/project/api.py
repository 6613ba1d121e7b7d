"""The API's addresses: every module's routes under /v1, their OpenAPI 3.1 document and its page."""

from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.openapi.docs import Swagger

from setia.intake.api import ROUTES as INTAKE
from setia.kit import texts
from setia.programs.api import ROUTES as PROGRAMS
from setia.proof.api import ROUTES as PROOF
from setia.referrals.api import ROUTES as REFERRALS
from setia.rewards.api import ROUTES as CODES
from setia.rewards.catalogue_api import ROUTES as CATALOGUE
from setia.rewards.money_api import ROUTES as MONEY
from setia.rewards.redeeming_api import ROUTES as REDEEMING
from setia.tenancy import service as tenancy
from setia.web import api as frame
from setia.web.api import Request, Response, Route

ROUTES: list[Route] = [*INTAKE, *PROGRAMS, *REDEEMING, *MONEY, *CODES, *CATALOGUE, *PROOF, *REFERRALS]
_INTRO = """Everything Setia knows comes in as an event and goes out with a reason.

Send `Authorization: Bearer sk_test_…`. Every write needs an `Idempotency-Key`: the same key with the same body gets the
same answer (`Idempotent-Replayed: true`), with another body 422. Amounts are whole rupiah. Errors are RFC 9457 problems
with a sentence and a fix in Indonesian and English. `?dry_run=true` on a write says what would happen and writes nothing.
"""


class Api(NinjaAPI):
    """Adds what django-ninja can't know: schemas of our bodies, the key's security scheme, every problem."""

    def get_openapi_schema(self, **options: Any) -> Any:
        """The OpenAPI 3.1 document."""
        schema = super().get_openapi_schema(**options)
        bodies = [route.body for route in ROUTES if route.body]
        _, components = msgspec.json.schema_components(bodies, ref_template="#/components/schemas/{name}")
        schema["components"] = {
            "schemas": {**components, "Problem": _PROBLEM},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        }
        schema["security"] = [{"key": []}]
        for operation in (each for path in schema["paths"].values() for each in path.values()):
            # django-ninja adds an empty 200 to whatever has no schema it knows.
            operation["responses"] = {
                code: said for code, said in operation["responses"].items() if "content" in said
            }
        return schema


_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail", "message", "fix", "retryable", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "param": {"type": "string"},
        "message": {"type": "object", "properties": {lang: {"type": "string"} for lang in texts.LANGUAGES}},
        "fix": {"type": "object", "properties": {lang: {"type": "string"} for lang in texts.LANGUAGES}},
        "retryable": {"type": "boolean"},
        "request_id": {"type": "string"},
    },
}

api = Api(
    title="Setia",
    version="1",
    description=_INTRO,
    docs=Swagger(settings={"persistAuthorization": True}),
    docs_url="/docs",
    openapi_url="/openapi.json",
    urls_namespace="api",
)


def _extra(route: Route) -> dict[str, Any]:
    """What the document says of a route beyond its path."""
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "query", "schema": {"type": "string"}, "description": about}
        for name, about in route.query.items()
    ]
    if route.needs_key:
        parameters.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": True,
                "schema": {"type": "string", "maxLength": 255},
                "example": "till7-000183",
            }
        )
    status = str(route.status) if route.status else "201" if route.method == "POST" else "200"
    codes = {
        "401": "bad_key",
        "403": "scope",
        "429": "rate_limited",
        **({"422": "body.missing"} if route.body or route.query else {}),
    }
    codes |= {str(_STATUS.get(code, 409)): code for code in route.refuses}
    extra: dict[str, Any] = {
        "parameters": parameters,
        "operationId": route.id,
        "summary": route.summary,
        "description": (route.do.__doc__ or "").strip(),
        "responses": {
            status: {
                "description": "OK",
                "content": {frame.JSON: {"schema": {"type": "object"}, "example": route.answer_example}},
            },
            **{
                code: {
                    "description": name,
                    "content": {
                        frame.PROBLEM: {
                            "schema": {"$ref": "#/components/schemas/Problem"},
                            "example": _problem_example(int(code), name),
                        }
                    },
                }
                for code, name in codes.items()
            },
        },
    }
    if route.reads != frame.JSON:
        content = {route.reads: {"schema": {"type": "string"}, "example": route.example}}
        extra["requestBody"] = {"required": True, "content": content}
    elif route.body:
        extra["requestBody"] = {
            "required": True,
            "content": {
                frame.JSON: {
                    "schema": {"$ref": f"#/components/schemas/{route.body.__name__}"},
                    "example": route.example,
                }
            },
        }
    return extra


_STATUS = {
    "code_unknown": 404,
    "code_typo": 422,
    "too_many_guesses": 429,
    "bad_batch_count": 422,
    "bad_own_code": 422,
    "why_missing": 422,
    "own_correction": 403,
    "bad_birthday": 422,
    "bad_code": 422,
    "bad_code_name": 422,
    "bad_gift": 422,
    "joining_invited": 403,
    "joining_listed": 403,
    "joining_after_purchase": 403,
    "bad_invitation": 403,
    "joining_no_purchase": 403,
    "joining_too_small": 403,
    "own_draft": 403,
    "needs_approval": 403,
    "bad_document": 422,
    "examples_fail": 422,
    "starts_in_past": 422,
    "not_found": 404,
    "bad_month": 422,
    "idempotency_mismatch": 422,
    "in_future": 422,
    "currency": 422,
    "bad_phone": 422,
    "unknown_kind": 422,
}


def _problem_example(status: int, code: str) -> dict[str, Any]:
    key = f"refusal.{code}"
    return {
        "type": f"/docs/errors#{code}",
        "title": texts.outline(key, "en"),
        "status": status,
        "code": code,
        "detail": texts.outline(key, "id"),
        "message": {lang: texts.outline(key, lang) for lang in texts.LANGUAGES},
        "fix": {lang: texts.outline(f"{key}.fix", lang) for lang in texts.LANGUAGES},
        "retryable": False,
        "request_id": "req_01jc7s5x0000000000000000ex",
    }


def _django(request: HttpRequest, route: Route) -> Request:
    return Request(
        request.method or "GET",
        request.META.get("QUERY_STRING", ""),
        request.headers.get("Authorization", ""),
        request.headers.get("Idempotency-Key", ""),
        request.headers.get("Accept-Language", ""),
        request.body if route.reads == frame.JSON else b"",
        request,
    )


def _http(found: Response) -> HttpResponse:
    response = HttpResponse(found.body, status=found.status, content_type=found.kind)
    for name, value in found.headers:
        response.headers[name] = value
    response.headers["Setia-Version"] = frame.VERSION
    return response


def _register(route: Route) -> None:
    if "{id}" in route.path:

        def view(request: HttpRequest, id: str) -> HttpResponse:
            return _http(frame.answer(route, _django(request, route), {"id": id}, tenancy.caller))
    else:

        def view(request: HttpRequest) -> HttpResponse:  # type: ignore[misc]
            return _http(frame.answer(route, _django(request, route), {}, tenancy.caller))

    view.__name__ = route.id.replace(".", "_")
    api.api_operation(
        [route.method], f"/v1{route.path}", tags=[route.id.split(".")[0]], openapi_extra=_extra(route)
    )(view)


for _route in ROUTES:
    _register(_route)
