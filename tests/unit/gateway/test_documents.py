"""The committed documents say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from jsonschema import Draft202012Validator

from services.gateway import asyncapi
from services.gateway.app import create_litestar
from services.gateway.docs_page import CONTENT_SECURITY_POLICY, errors_page, reference_page
from services.gateway.openapi import described
from services.gateway.rights import Right
from tests.unit.gateway.error_catalogue import classes

DOCS = Path(__file__).resolve().parents[3] / "docs"


def test_the_committed_openapi_document_is_the_one_of_the_code() -> None:
    committed = msgspec.json.decode((DOCS / "api" / "openapi.json").read_bytes())

    told = "run: python -m services.gateway.openapi > docs/api/openapi.json"
    assert committed == described(create_litestar(None)), told


def test_the_committed_asyncapi_document_is_the_one_of_the_messages() -> None:
    committed = msgspec.json.decode((DOCS / "api" / "asyncapi.json").read_bytes())

    told = "run: python -m services.gateway.asyncapi > docs/api/asyncapi.json"
    assert committed == asyncapi.described(), told


def test_every_message_has_an_address_a_stream_and_a_schema_that_its_golden_fits() -> None:
    document = asyncapi.described()
    schemas = document["components"]["schemas"]
    goldens = {path.stem: path for path in (DOCS.parent / "tests/contract/wire").glob("*.json")}

    assert document["channels"].keys() == goldens.keys()
    for name, path in goldens.items():
        golden = msgspec.json.decode(path.read_bytes())
        channel = document["channels"][name]
        pattern = re.sub(r"\\{\w+\\}", r"[^.]+", re.escape(channel["address"]))
        assert re.fullmatch(pattern, golden["subject"]), name
        assert channel["x-jetstream"]["name"] in {"EVENTS", "COMMANDS", "LOGS"}
        whole = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
        Draft202012Validator(whole).validate(golden["message"])


def test_every_operation_tells_its_right_its_problems_and_a_stable_id() -> None:
    document = described(create_litestar(None))

    ids = set()
    for operations in document["paths"].values():
        for operation in operations.values():
            ids.add(operation["operationId"])
            assert "application/problem+json" in operation["responses"]["400"]["content"]
            if "security" in operation:
                assert operation["x-right"] in set(Right)
                assert {"401", "403"} <= operation["responses"].keys()
    assert len(ids) == sum(map(len, document["paths"].values()))


def test_every_schema_of_the_document_is_a_json_schema_and_every_reference_leads_somewhere() -> (
    None
):
    document = described(create_litestar(None))

    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    for reference in re.findall(
        r'"#/components/schemas/([^"]+)"', msgspec.json.encode(document).decode()
    ):
        assert reference in schemas


def test_inputs_refuse_unknown_fields_in_the_document_too() -> None:
    schemas = described(create_litestar(None))["components"]["schemas"]

    for name in ("NewServer", "NewStore", "NewBackup", "NewRestore", "Credentials", "Setup"):
        assert schemas[name]["additionalProperties"] is False, name


def test_every_error_code_is_documented() -> None:
    documented = set(re.findall(r"(?m)^\| `([^`]+)` \|", (DOCS / "errors.md").read_text()))

    told = "run: python -m tests.unit.gateway.error_catalogue > docs/errors.md"
    assert {kind.code for kind in classes()} <= documented, told


@pytest.mark.parametrize("page", ["reference", "errors"])
def test_the_documentation_asks_no_other_machine_for_anything(page: str) -> None:
    html = (
        reference_page(described(create_litestar(None)), built=False)
        if page == "reference"
        else errors_page()
    )

    assert not re.findall(r'(?:src|href)="(?!/|#)', html)
    assert "<script" not in html
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY
