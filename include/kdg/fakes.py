"""The helpers that make names, addresses, companies, texts and the like: each is a method of the library Faker.

The Kinesis Data Generator has its own lists of words; ours are Faker's, so the forms are alike and the words differ.
Chance is drawn from the generator's own random numbers: the same seed gives the same values, as long as the version of
Faker in local/requirements.txt is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from random import Random
from typing import TYPE_CHECKING, Any

from kdg.forms import Fake, Maker, counted, digits, symbols, text_or_none
from kdg.javascript import ArgumentError

if TYPE_CHECKING:
    from faker import Generator

# Methods of Faker by helpers; these helpers have no argument, or the Kinesis Data Generator ignores it
_METHODS = {
    "random.word": "word",
    "random.locale": "locale",
    "name.firstName": "first_name",
    "name.lastName": "last_name",
    "name.prefix": "prefix",
    "name.suffix": "suffix",
    "name.title": "job",
    "name.jobTitle": "job",
    "address.cityPrefix": "city_prefix",
    "address.citySuffix": "city_suffix",
    "address.streetName": "street_name",
    "address.streetSuffix": "street_suffix",
    "address.secondaryAddress": "secondary_address",
    "address.country": "country",
    "address.countryCode": "country_code",
    "company.companySuffix": "company_suffix",
    "company.catchPhrase": "catch_phrase",
    "company.bs": "bs",
    "finance.currencyCode": "currency_code",
    "finance.currencyName": "currency_name",
    "finance.currencySymbol": "currency_symbol",
    "internet.domainName": "domain_name",
    "internet.domainSuffix": "tld",
    "internet.domainWord": "domain_word",
    "internet.mac": "mac_address",
    "internet.userAgent": "user_agent",
    "commerce.color": "color_name",
    "lorem.word": "word",
    "system.mimeType": "mime_type",
}
# The same, but the argument that the Kinesis Data Generator takes, such as a first name, means nothing to Faker
_METHODS_ALONE = {
    "name.findName": "name",
    "address.city": "city",
    "address.streetAddress": "street_address",
    "company.companyName": "company",
    "internet.email": "email",
    "internet.exampleEmail": "email",
    "internet.userName": "user_name",
    "internet.color": "hex_color",
    "phone.phoneNumberFormat": "phone_number",
    "system.commonFileExt": "file_extension",
    "system.fileExt": "file_extension",
}
# Faker knows no products: these words are our own
PRODUCTS = {
    "commerce.department": (
        "Bakery", "Bicycles", "Cameras", "Carpets", "Crafts", "Furniture", "Lighting", "Luggage", "Pets", "Phones",
        "Stationery", "Watches",
    ),
    "commerce.productAdjective": (
        "Bright", "Compact", "Elegant", "Foldable", "Heavy", "Large", "Light", "Narrow", "Plain", "Round", "Sturdy",
        "Tall",
    ),
    "commerce.productMaterial": (
        "Bamboo", "Brass", "Ceramic", "Copper", "Cork", "Felt", "Glass", "Leather", "Linen", "Paper", "Silver", "Wool",
    ),
    "commerce.product": (
        "Basket", "Bench", "Bottle", "Clock", "Cup", "Drawer", "Kettle", "Lamp", "Mirror", "Shelf", "Tray", "Vase",
    ),
}  # fmt: skip


@cache
def _library() -> Generator:
    """Faker in American English, all words with the same chance, which is also several times as fast."""
    from faker import Factory  # noqa: PLC0415  0.1 s, for which templates without such a helper do not wait

    return Factory.create("en_US", use_weighting=False)


def _call(rng: Random, method: str, **given: object) -> Any:
    library = _library()
    library.random = rng
    return getattr(library, method)(**given)


def _method(method: str, **given: object) -> Fake:
    return lambda rng: str(_call(rng, method, **given))


def _plain(fake: Fake) -> Maker:
    return lambda _argument: fake


def _alone(fake: Fake) -> Maker:
    def maker(argument: Any) -> Fake:
        if argument is not None:
            raise ArgumentError("its value comes from the library Faker here and takes no argument: leave it out")
        return fake

    return maker


def _form_or_method(fill: Callable[[Random, str], str], method: str) -> Maker:
    def maker(argument: Any) -> Fake:
        form = text_or_none(argument)
        return (lambda rng: fill(rng, form)) if form else _method(method)

    return maker


def _texts(method: str) -> Maker:
    return counted(lambda rng, count: " ".join(_call(rng, method, nb=count)), 3)


def _sentence(argument: Any) -> Fake:
    words = counted(lambda rng, count: str(_call(rng, "sentence", nb_words=count, variable_nb_words=False)), 0)
    return _method("sentence") if argument is None else words(argument)


def _file_name(argument: Any) -> Fake:
    return _method("file_name", extension=text_or_none(argument))


def _file_type(rng: Random) -> str:
    return str(_call(rng, "mime_type")).partition("/")[0]


def _product_name(rng: Random) -> str:
    return " ".join([rng.choice(PRODUCTS[f"commerce.product{part}"]) for part in ("Adjective", "Material", "")])


FAKES: dict[str, Maker] = {
    **{name: _plain(_method(method)) for name, method in _METHODS.items()},
    **{name: _alone(_method(method)) for name, method in _METHODS_ALONE.items()},
    "random.words": _texts("words"),
    "address.stateAbbr": _plain(
        _method("state_abbr", include_territories=False, include_freely_associated_states=False)
    ),
    "address.zipCode": _form_or_method(symbols, "postcode"),
    "internet.url": _plain(lambda rng: str(_call(rng, "url")).removesuffix("/")),
    "phone.phoneNumber": _form_or_method(digits, "phone_number"),
    "commerce.productName": _plain(_product_name),
    "lorem.words": _texts("words"),
    "lorem.sentence": _sentence,
    "lorem.sentences": _texts("sentences"),
    "lorem.paragraph": counted(lambda rng, count: str(_call(rng, "paragraph", nb_sentences=count)), 3),
    "system.fileName": _file_name,
    "system.commonFileName": _file_name,
    "system.fileType": _plain(_file_type),
    "system.commonFileType": _plain(_file_type),
}
