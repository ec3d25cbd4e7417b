"""Names are one when people would read them as one; texts hold what a terminal may be shown."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from precis_i18n import get_profile

from trio_chat.errors import Refused
from trio_chat.hub import names
from trio_chat.hub.names import NAME_CHARS_MAX, ROOM_CHARS_MAX, Name, check_text, prepare_name, prepare_room

PREPARERS = [
    pytest.param(prepare_name, "bad_name", "name", NAME_CHARS_MAX, id="name"),
    pytest.param(prepare_room, "bad_room", "room", ROOM_CHARS_MAX, id="room"),
]
Prepare = Callable[[str], Name]

# Letters of scripts that have cases, marks, widths and directions, and now and then what no name holds.
_LETTERS = "aAzZ09_.-ßẞİıΣςσΑ가ガアＡａ＃𐐀\u0300\u0301\u0345\u0313"
# Those for which RFC 8264 has a rule of their own, or which normalization makes longer.
_CONTEXTUAL = "l·͵αא׳״・カー٠٩۰۹\u200c\u200dنि्क\u0958\u0627\uff76\uff9e"
NAMELIKE = st.one_of(
    st.text(_LETTERS, min_size=1, max_size=40),
    st.text(st.one_of(st.sampled_from(_LETTERS), st.characters(codec="utf-8")), min_size=1, max_size=8),
)


@given(raw=st.one_of(NAMELIKE, st.text(_LETTERS + _CONTEXTUAL, max_size=40)))
def test_the_rules_are_those_of_the_library(raw: str) -> None:
    try:
        shown = get_profile("UsernameCasePreserved").enforce(raw)
        key = get_profile("UsernameCaseMapped").enforce(raw)
        expected = Name(shown, key) if len(shown) <= ROOM_CHARS_MAX and shown[0] not in "#@*/" else None
    except ValueError:
        expected = None
    try:
        found: Name | None = prepare_room(raw)
    except Refused:
        found = None
    assert found == expected


class TestCost:
    """The cost of a name is bounded: counted in looks at a character, since time is the machine's."""

    @pytest.fixture(autouse=True)
    def looks(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        looks = [0]

        def counted(check: Callable[..., object]) -> Callable[..., object]:
            def look(*args: object) -> object:
                looks[0] += len(str(args[0]))  # a whole string, or one character
                return check(*args)

            return look

        for check in ("context_rule_error", "_property"):
            monkeypatch.setattr(f"trio_chat.hub.names.{check}", counted(getattr(names, check)))
        names._cached.cache_clear()
        return looks

    @pytest.mark.parametrize(
        "raw",
        [
            "ا" + "٠" * (ROOM_CHARS_MAX - 1),
            "ا" + "۰" * (ROOM_CHARS_MAX - 1),
            "ア" + "・" * (ROOM_CHARS_MAX - 1),
        ],
        ids=["arabic-indic", "extended arabic-indic", "katakana middle dot"],
    )
    def test_a_rule_about_the_whole_string_runs_once(self, looks: list[int], raw: str) -> None:
        assert prepare_room(raw).shown == raw
        assert looks[0] == 2 * ROOM_CHARS_MAX

    @pytest.mark.parametrize("char", ["٠", "・", "α", "\u0301", "ﷺ", "𐐀", "\u200c"])
    @pytest.mark.parametrize("length", [ROOM_CHARS_MAX + 1, 4 * ROOM_CHARS_MAX, 60_000])
    def test_what_is_too_long_is_refused_before_any_rule(
        self, looks: list[int], char: str, length: int
    ) -> None:
        with pytest.raises(Refused, match="at most"):
            prepare_room("א" + char * length)
        assert looks[0] == 0

    def test_plain_names_need_no_rule(self, looks: list[int]) -> None:
        assert prepare_room("Ada-1") == Name("Ada-1", "ada-1")
        assert looks[0] == 0


@pytest.mark.parametrize("raw", ["ada", "Ada", "ADA", "ａｄａ", "ＡＤＡ"])
def test_one_name_however_it_is_written(raw: str) -> None:
    assert prepare_name(raw).key == "ada"


def test_a_name_is_shown_in_its_own_case_and_in_plain_width() -> None:
    assert prepare_name("Ａda") == Name("Ada", "ada")


def test_composed_and_decomposed_are_one() -> None:
    assert prepare_name("Zoe\u0308") == prepare_name("Zoë") == Name("Zoë", "zoë")


@pytest.mark.parametrize(("prepare", "code", "field", "chars"), PREPARERS)
class TestBoth:
    """Rules that names of people and of rooms share."""

    @pytest.mark.parametrize(
        "raw",
        [
            "",
            "two words",
            "tab\there",
            "line\n",
            "nul\0",
            "esc\x1b[1m",
            "no\u00a0break",
            "zero\u200bwidth",
            "right\u202eleft",
            "\u2067isolate",
            "\ufeffbom",
            "#channel",
            "@ada",
            "*star",
            "/quit",
            "＃wide",
            "＠wide",
            "＊wide",
            "／wide",
            "ﬁne",
            "\U000e0041tag",
            "\ue000private",
            "\u0378unassigned",
            "אb",
        ],
    )
    def test_what_no_name_may_be_is_refused(
        self, prepare: Prepare, code: str, field: str, chars: int, raw: str
    ) -> None:
        with pytest.raises(Refused) as refused:
            prepare(raw)
        assert (refused.value.code, refused.value.field) == (code, field)

    def test_the_longest_is_counted_after_mapping(
        self, prepare: Prepare, code: str, field: str, chars: int
    ) -> None:
        assert prepare("x" * chars).shown == "x" * chars
        assert len(prepare("α\u0313\u0300\u0345" * chars).shown) == chars
        assert len(prepare("𐐀" * chars).shown) == chars
        for raw in ["x" * (chars + 1), "e\u0301" * (chars + 1), "x" * 60_000]:
            with pytest.raises(Refused, match=f"at most {chars} characters"):
                prepare(raw)

    def test_marks_that_are_common_in_names_are_fine_inside(
        self, prepare: Prepare, code: str, field: str, chars: int
    ) -> None:
        for raw in ["a#1", "a/b", "c++", "o'neil", "x_x", "-", "日本語", "שלום", '"', "\\"]:
            assert prepare(raw).shown == raw

    @given(raw=NAMELIKE)
    def test_preparing_what_was_prepared_changes_nothing(
        self, prepare: Prepare, code: str, field: str, chars: int, raw: str
    ) -> None:
        try:
            name = prepare(raw)
        except Refused as refused:
            assert refused.code == code
            return
        assert prepare(name.shown) == name
        assert 1 <= len(name.shown) <= chars
        assert name.shown[0] not in "#@*/" and name.key[0] not in "#@*/"

    @given(raw=NAMELIKE)
    def test_the_key_is_its_own_key(
        self, prepare: Prepare, code: str, field: str, chars: int, raw: str
    ) -> None:
        try:
            key = prepare(raw).key
            again = prepare(key)
        except Refused:
            return
        assert again.key == key

    @given(raw=NAMELIKE)
    def test_a_refusal_fits_on_one_line(
        self, prepare: Prepare, code: str, field: str, chars: int, raw: str
    ) -> None:
        try:
            prepare(raw)
        except Refused as refused:
            assert refused.detail.isprintable() and refused.detail.startswith(f"a {field} ")


def limited(text: str, *, bytes_max: int = 4_096, lines_max: int = 100) -> tuple[str, str]:
    """The code and field of the refusal of a text; both empty when it is fine."""
    try:
        check_text(text, bytes_max=bytes_max, lines_max=lines_max)
    except Refused as refused:
        return refused.code, refused.field
    return "", ""


FINE = ("", "")
BAD = ("bad_message", "text")
LONG = ("too_long", "text")


@pytest.mark.parametrize(
    ("text", "judged"),
    [
        ("hello", FINE),
        (" ", FINE),
        ("two\nlines\tand a tab", FINE),
        ("\u202eright to left: for clients to isolate", FINE),
        ("x" * 4_096, FINE),
        ("ü" * 2_048, FINE),
        ("😀" * 1_024, FINE),
        ("\n" * 99, FINE),
        ("", BAD),
        ("\x1b[2J", BAD),
        ("bell\x07", BAD),
        ("\r\n", BAD),
        ("\0", BAD),
        ("\x7f", BAD),
        ("\x85", BAD),
        ("\x9b31m", BAD),
        ("x" * 4_097, LONG),
        ("ü" * 2_048 + "x", LONG),
        ("😀" * 1_025, LONG),
        ("\n" * 100, LONG),
    ],
)
def test_a_text_is_judged(text: str, judged: tuple[str, str]) -> None:
    assert limited(text) == judged


@given(st.text(max_size=30), st.integers(1, 60), st.integers(1, 10))
def test_a_text_is_judged_as_its_rules_say_word_for_word(text: str, bytes_max: int, lines_max: int) -> None:
    controls = {chr(code) for code in (*range(32), *range(0x7F, 0xA0))} - {"\n", "\t"}
    judged = limited(text, bytes_max=bytes_max, lines_max=lines_max)
    long = len(text.encode()) > bytes_max or len(text.split("\n")) > lines_max
    bad = not text or not controls.isdisjoint(text)
    assert (judged == FINE) == (not long and not bad)
    assert judged != LONG or long
    assert judged != BAD or bad
