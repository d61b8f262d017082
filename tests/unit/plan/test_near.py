from funcrec.plan.near import near_names

NAMES = ["main.handle", "main.handler", "main.(*Student).String", "net/http.(*Server).Serve", "os.Open", "main.main"]


def test_typos_find_their_way() -> None:
    assert near_names("main.handel", NAMES)[0] == "main.handle"
    assert near_names("main.Handle", NAMES)[0] == "main.handle"
    assert near_names("net/htp.(*Server).Serve", NAMES)[0] == "net/http.(*Server).Serve"


def test_a_forgotten_receiver_star_is_found() -> None:
    assert near_names("main.Student.String", NAMES)[0] == "main.(*Student).String"


def test_wildcards_count_for_nothing() -> None:
    assert near_names("main.handel*", NAMES)[0] == "main.handle"
    assert near_names("*", NAMES) == []


def test_strangers_are_not_suggested() -> None:
    assert near_names("zzz/qqq.XXXX", NAMES) == []


def test_at_most_so_many() -> None:
    assert len(near_names("main.a", [f"main.a{n}" for n in range(50)], limit=2)) == 2
