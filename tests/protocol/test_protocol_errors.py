import inspect

import pytest

from protocol import errors
from protocol.errors import CloseCode, ProtocolError

ERRORS = [
    errors.BadLength(24, 23),
    errors.BadChecksum(1, 2),
    errors.BadVersion(3),
    errors.UnknownKind(9),
    errors.TooManyRecords(65_536, 65_535),
    errors.BadValue("price", -1.0),
    errors.BadMessage("no JSON"),
    errors.BadText("no UTF-8"),
    errors.TooManyMessages(20.0),
    errors.UnknownSymbol("NOSUCH"),
    errors.UnknownSymbolId(7),
    errors.UnknownBase(7),
    errors.UnknownInterval("2m"),
    errors.BadSubject("a.b"),
]


def test_every_error_is_tested_here():
    classes = {one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, Exception)}
    assert classes == {ProtocolError, *map(type, ERRORS)}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_every_error_is_a_protocol_error_and_says_what_is_wrong(error):
    assert isinstance(error, ProtocolError)
    for value in vars(error).values():
        written = {str(value)} | (
            {f"{value:g}", f"{int(value):#010x}"} if not isinstance(value, str) else set()
        )
        assert any(one in str(error) for one in written)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_close_codes(error):
    special = {errors.BadText: 1007, errors.TooManyMessages: 4429}
    assert error.close_code == special.get(type(error), 4400)


@pytest.mark.parametrize("code", CloseCode)
def test_the_number_of_a_close_code_says_whether_to_come_back(code):
    if code >= 4400:
        assert code.may_reconnect == (code >= 4500)
    else:
        assert code.may_reconnect == (code in {1001, 1012, 1013})


def test_close_codes_are_ones_that_an_application_may_send():
    for code in CloseCode:
        assert code in {1001, 1003, 1007, 1009, 1012, 1013} or 4000 <= code <= 4999
