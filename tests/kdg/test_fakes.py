"""Helpers whose words come from the library Faker: each has its form, and the same seed gives the same values."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC
from random import Random

import pytest

from kdg.helpers import HELPERS
from kdg.template import Template, TemplateError
from tests.kdg.recorded import RECORDED

WORD, NAME, HOST = r"[A-Za-z]+", r"[A-Z][A-Za-z]+", r"[a-z0-9-]+\.[a-z]{2,4}"
STREET, PHRASE, EMAIL = rf"{NAME}( {NAME})?", r"[\w/.'-]+( [\w/.'&-]+)+", r"[a-z0-9._]+@example\.(com|net|org)"
SENTENCE, FILE, PHONE = rf"[A-Z][A-Za-z]*( {WORD})*\.", r"[A-Za-z]+\.[a-z0-9]+", r"[+()\d.-]{10,16}(x\d{3,5})?"
COMPANY, JOB = rf"{NAME}((-| ){NAME}|, {NAME} and {NAME}| and Sons)", r"[A-Z][\w ,/().'&-]+"
FORMS = {
    "random.word": WORD,
    "random.words": rf"{WORD}( {WORD}){{2}}",
    "random.words(2)": rf"{WORD} {WORD}",
    "random.locale": r"[a-z]{2,3}_[A-Z]{2}",
    "name.firstName": NAME,
    "name.lastName": NAME,
    "name.findName": rf"({NAME}\.? )?{NAME} {NAME}( {WORD}\.?)?",
    "name.jobTitle": JOB,
    "name.title": JOB,
    "name.prefix": rf"{NAME}\.?",
    "name.suffix": rf"{WORD}\.?",
    "address.zipCode": r"\d{5}",
    "address.zipCode(##-??)": r"\d\d-[A-Z]{2}",
    "address.city": rf"{NAME}( {NAME})?",
    "address.cityPrefix": NAME,
    "address.citySuffix": r"[a-z]+",
    "address.streetName": STREET,
    "address.streetAddress": rf"\d{{3,5}} {STREET}( (Apt\.|Suite) \d{{3}})?",
    "address.streetSuffix": NAME,
    "address.secondaryAddress": r"(Apt\.|Suite) \d{3}",
    "address.country": r"\w[^\"\\\n]+",
    "address.countryCode": "[A-Z]{2}",
    "address.stateAbbr": "[A-Z]{2}",
    "company.companyName": COMPANY,
    "company.companySuffix": r"[A-Z]\w+|and Sons",
    "company.catchPhrase": PHRASE,
    "company.bs": PHRASE,
    "finance.currencyCode": "[A-Z]{3}",
    "finance.currencyName": r"\w[^\"\\\n]+",
    "finance.currencySymbol": r"[^\"\\\n]{1,8}",
    "internet.email": EMAIL,
    "internet.exampleEmail": EMAIL,
    "internet.userName": r"[a-z0-9._]+",
    "internet.url": rf"https?://(www\.)?{HOST}",
    "internet.domainName": HOST,
    "internet.domainSuffix": "[a-z]{2,4}",
    "internet.domainWord": "[a-z0-9-]+",
    "internet.userAgent": r"(Mozilla|Opera)/\d+\.\d+[ .][^\"\\\n]+",
    "internet.color": "#[0-9a-f]{6}",
    "internet.mac": "([0-9a-f]{2}:){5}[0-9a-f]{2}",
    "internet.password": "[A-Za-z0-9]{15}",
    "internet.password(8)": "[A-Za-z0-9]{8}",
    "phone.phoneNumber": PHONE,
    "phone.phoneNumber(+1 ###-####)": r"\+1 \d{3}-\d{4}",
    "phone.phoneNumberFormat": PHONE,
    "commerce.color": NAME,
    "commerce.department": NAME,
    "commerce.productName": rf"{NAME} {NAME} {NAME}",
    "commerce.productAdjective": NAME,
    "commerce.productMaterial": NAME,
    "commerce.product": NAME,
    "lorem.word": WORD,
    "lorem.words": rf"{WORD}( {WORD}){{2}}",
    "lorem.words(5)": rf"{WORD}( {WORD}){{4}}",
    "lorem.sentence": SENTENCE,
    "lorem.sentence(4)": rf"{WORD}( {WORD}){{3}}\.",
    "lorem.sentences": rf"{SENTENCE}( {SENTENCE}){{2}}",
    "lorem.sentences(2)": rf"{SENTENCE} {SENTENCE}",
    "lorem.paragraph": rf"{SENTENCE}( {SENTENCE})*",
    "lorem.paragraph(1)": SENTENCE,
    "system.fileName": FILE,
    "system.fileName(log)": r"[A-Za-z]+\.log",
    "system.commonFileName": FILE,
    "system.commonFileName(log)": r"[A-Za-z]+\.log",
    "system.mimeType": r"[a-z]+/[\w.+-]+",
    "system.commonFileType": "[a-z]+",
    "system.commonFileExt": "[a-z0-9]+",
    "system.fileType": "[a-z]+",
    "system.fileExt": "[a-z0-9]+",
}
TEMPLATE = "{" + ", ".join(f'"{call}": "{{{{{call}}}}}"' for call in FORMS) + "}"
SERIES = f"""
from random import Random
from kdg.template import Template
for i, draw in enumerate(Template.parse({TEMPLATE!r}).draws):
    print(ascii(draw([0.0] * 50, Random(i))))
"""
IMPORTS = """
import sys
from kdg.template import EVENTS, Template
Template.read(EVENTS)
print("faker" in sys.modules)
Template.parse('{"a": "{{name.firstName}}"}')
print("faker" in sys.modules)
"""


def made(call: str, count: int = 300, seed: int = 1) -> list[str]:
    (draw,) = Template.parse(f'{{"x": "{{{{{call}}}}}"}}', UTC).draws
    return [str(value) for value in draw([0.0] * count, Random(seed))]


def printed(code: str, **environment: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=os.environ | environment
    ).stdout


def test_every_helper_that_is_not_compared_has_a_form_here() -> None:
    names = {call.partition("(")[0] for call in FORMS}
    assert names == HELPERS.keys() - RECORDED["compared"] - {"current.timestamp"}


@pytest.mark.parametrize("call", FORMS)
def test_values_have_their_form(call: str) -> None:
    values = made(call)
    assert [value for value in values if not re.fullmatch(FORMS[call], value)] == []
    assert len(set(values)) > 2


@pytest.mark.parametrize("call", FORMS)
def test_the_same_seed_gives_the_same_values(call: str) -> None:
    assert made(call) == made(call)
    assert made(call) != made(call, seed=2)


def test_values_are_the_same_in_another_process_and_zone() -> None:
    """A set's order, for one, differs between processes."""
    assert printed(SERIES, PYTHONHASHSEED="1", TZ="UTC") == printed(SERIES, PYTHONHASHSEED="2", TZ="Asia/Tokyo")


def test_faker_is_loaded_only_for_its_helpers() -> None:
    assert printed(IMPORTS) == "False\nTrue\n"


@pytest.mark.parametrize("call", ["name.findName(Mary)", "address.city(2)", "internet.color(100)"])
def test_an_argument_that_faker_does_not_take_is_refused(call: str) -> None:
    with pytest.raises(TemplateError, match=r"comes from the library Faker here and takes no argument: leave it out"):
        made(call)


@pytest.mark.parametrize("call", ["name.firstName(0)", "commerce.color(3)", "random.word(noun)"])
def test_an_argument_that_the_kinesis_data_generator_ignores_is_ignored(call: str) -> None:
    assert made(call) == made(call.partition("(")[0])
