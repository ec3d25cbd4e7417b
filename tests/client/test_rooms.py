"""The joined rooms, by each of their names."""

from trio_chat.client.rooms import JoinedRooms, room_of
from trio_chat.wire.messages import Ping, Room, Search, Topic, Whisper


def answer(room: str, epoch: str = "e") -> Room:
    return Room(room=room, epoch=epoch, resumed=False, first=1, head=0, members=1, topic="")


def test_a_room_is_found_by_both_its_names() -> None:
    rooms = JoinedRooms()
    rooms.entered("lobby", answer("Lobby"))
    assert rooms.get("lobby") is rooms.get("Lobby") is not None
    assert rooms.get("LOBBY") is None
    assert rooms.left("lobby") == "Lobby"
    assert rooms.get("lobby") is rooms.get("Lobby") is None
    assert rooms.left("lobby") == "lobby", "the room is no longer known"


def test_the_room_in_the_ack_of_a_leave_is_left() -> None:
    rooms = JoinedRooms()
    rooms.entered("lobby", answer("Lobby"))
    assert rooms.left("LOBBY", "Lobby") == "Lobby"
    assert list(rooms) == []
    assert rooms.left("lobby") == "lobby"


def test_commands_wait_for_their_room_and_those_of_an_unknown_room_for_all() -> None:
    rooms = JoinedRooms()
    rooms.entered("lobby", answer("lobby"))
    rooms.entered("attic", answer("attic"))
    assert not any(rooms.holds(room) for room in ("lobby", "attic", "cellar", "", None))
    rooms.lost()
    rooms.entered("attic", answer("attic"))
    held = [rooms.holds(room) for room in ("lobby", "attic", "cellar", "", None)]
    assert held == [True, False, True, True, False]
    rooms.left("lobby")
    assert rooms.is_back
    assert not rooms.holds("cellar")


def test_the_room_that_a_command_is_about() -> None:
    assert room_of(Topic("lobby", "tea")) == "lobby"
    assert room_of(Search("tea")) == "", "a search without a room is about all joined rooms"
    assert room_of(Ping()) is None
    assert room_of(Whisper("lobby", "psst")) is None, "the target of a whisper is a member, not a room"
