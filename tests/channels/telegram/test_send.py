"""Sending against a Bot API server that checks every request: what arrives, and what each fault means."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from channels.base import Address, Attachment, Button, Rejected, Retry, SendResult, Sent, Unknown
from channels.telegram.adapter import WebhookTelegramAdapter
from channels.telegram.client import Client, Timing
from channels.telegram.pace import Limit, Limits
from channels.telegram.send import Sender
from channels.telegram.settings import TelegramSettings
from channels.telegram.text import utf16_length
from tests.channels.telegram.conftest import ANN, NO_LIMITS, outgoing, settings
from tests.fakes.certificates import Certificates
from tests.fakes.telegram_server import (
    BAD_GATEWAY,
    CUT_AFTER,
    CUT_BEFORE,
    GARBAGE_AFTER,
    HANG,
    Fault,
    TelegramServer,
    error,
    too_many,
)

GROUP = -400
SUPERGROUP = -1001882200331


def file(name: str, media_type: str, content: bytes = b"content") -> Attachment:
    return Attachment(name=name, media_type=media_type, size=len(content), content=content)


class Crossing:
    """Counts how often the point of no return was passed, and what had happened by then."""

    def __init__(self, server: TelegramServer) -> None:
        self._server = server
        self.calls_before: list[int] = []

    async def __call__(self) -> None:
        self.calls_before.append(len(self._server.calls))


@pytest.fixture
def crossing(server: TelegramServer) -> Crossing:
    return Crossing(server)


async def test_a_text_arrives_and_names_itself(
    server: TelegramServer, hooked: WebhookTelegramAdapter, crossing: Crossing
) -> None:
    result = await hooked.send(outgoing(), crossing)
    (message,) = server.sent
    assert message["text"] == "Hello"
    assert result == Sent(f"{ANN}:{message['message_id']}")
    assert crossing.calls_before == [0]


async def test_formatting_arrives_as_entities(
    server: TelegramServer, hooked: WebhookTelegramAdapter, crossing: Crossing
) -> None:
    html = '<p>👋 <b>Bold</b> and <a href="https://x.mn">link</a></p><ul><li>one</li></ul>'
    await hooked.send(outgoing(html=html), crossing)
    (message,) = server.sent
    assert message["text"] == "👋 Bold and link\n\n• one"
    assert message["entities"] == [
        {"type": "bold", "offset": 3, "length": 4},
        {"type": "text_link", "offset": 12, "length": 4, "url": "https://x.mn"},
    ]


async def test_a_long_text_leaves_in_pieces_of_one_message(
    server: TelegramServer, hooked: WebhookTelegramAdapter, crossing: Crossing
) -> None:
    words = " ".join(f"үг👋{number}" for number in range(1500))
    result = await hooked.send(outgoing(text=words), crossing)
    texts = [message["text"] for message in server.sent]
    assert " ".join(texts) == words
    assert len(texts) == 4
    assert all(utf16_length(text) <= 4096 for text in texts)
    assert isinstance(result, Sent)
    assert [result.external_id, *result.also] == [f"{ANN}:{each['message_id']}" for each in server.sent]
    assert crossing.calls_before == [0], "passed once, before the first piece"


@pytest.mark.parametrize(
    ("attachment", "method"),
    [
        (file("ger.jpg", "image/jpeg"), "sendPhoto"),
        (file("ger.jpg", "image/jpeg", b"x" * (10 * 2**20 + 1)), "sendDocument"),
        (file("ger.gif", "image/gif"), "sendDocument"),
        (file("voice.ogg", "audio/ogg; codecs=opus"), "sendVoice"),
        (file("tour.mp4", "video/mp4"), "sendVideo"),
        (file("гэрээ 1.pdf", "application/pdf"), "sendDocument"),
    ],
)
async def test_a_file_goes_as_what_it_is_with_the_text_as_its_caption(
    server: TelegramServer,
    hooked: WebhookTelegramAdapter,
    crossing: Crossing,
    attachment: Attachment,
    method: str,
) -> None:
    result = await hooked.send(outgoing(attachments=(attachment,)), crossing)
    assert isinstance(result, Sent)
    ((called, _),) = server.calls
    assert called == method
    assert server.sent[0]["caption"] == "Hello"
    assert list(server.chats.contents.values()) == [attachment.content]
    if method == "sendDocument":
        assert server.sent[0]["document"]["file_name"] == attachment.name


async def test_pictures_go_as_albums_of_ten_at_most(
    server: TelegramServer, hooked: WebhookTelegramAdapter, crossing: Crossing
) -> None:
    pictures = tuple(file(f"{number}.jpg", "image/jpeg", b"%d" % number) for number in range(12))
    result = await hooked.send(outgoing(attachments=(*pictures, file("a.pdf", "application/pdf"))), crossing)
    assert [method for method, _ in server.calls] == ["sendMediaGroup", "sendMediaGroup", "sendDocument"]
    assert list(server.chats.contents.values()) == [*(each.content for each in pictures), b"content"]
    assert [message.get("caption") for message in server.sent] == ["Hello", *[None] * 12]
    assert len({message.get("media_group_id") for message in server.sent}) == 3
    assert isinstance(result, Sent)
    assert len(result.also) == 12


async def test_a_text_too_long_for_a_caption_goes_before_the_file(
    server: TelegramServer, hooked: WebhookTelegramAdapter, crossing: Crossing
) -> None:
    await hooked.send(outgoing(text="x" * 1025, attachments=(file("a.jpg", "image/jpeg"),)), crossing)
    assert [method for method, _ in server.calls] == ["sendMessage", "sendPhoto"]


async def test_a_picture_that_is_none_for_telegram_goes_as_a_file(
    server: TelegramServer, hooked: WebhookTelegramAdapter, crossing: Crossing
) -> None:
    result = await hooked.send(outgoing(attachments=(file("a.png", "image/png", b"too wide"),)), crossing)
    assert isinstance(result, Sent)
    assert [method for method, _ in server.calls] == ["sendPhoto", "sendDocument"]
    assert [message["caption"] for message in server.sent] == ["Hello"]


async def test_what_is_too_large_is_refused_before_anything_leaves(
    server: TelegramServer, hooked: WebhookTelegramAdapter, crossing: Crossing
) -> None:
    large = file("tour.mp4", "video/mp4", b"x" * (50 * 10**6 + 1))
    result = await hooked.send(outgoing(attachments=(large,)), crossing)
    assert isinstance(result, Rejected)
    assert "tour.mp4" in result.reason
    assert "50 MB" in result.reason
    assert (server.calls, crossing.calls_before) == ([], [])


@pytest.mark.parametrize("pictures", [0, 1, 3])
async def test_buttons_stand_below_the_last_message(
    server: TelegramServer, hooked: WebhookTelegramAdapter, crossing: Crossing, pictures: int
) -> None:
    buttons = (Button("Friday", "day:5"), Button("Өөр өдөр, " + "ү" * 60))
    files = tuple(file("a.jpg", "image/jpeg") for _ in range(pictures))
    assert isinstance(await hooked.send(outgoing(buttons=buttons, attachments=files), crossing), Sent)
    rows = server.sent[-1]["reply_markup"]["inline_keyboard"]
    assert [row[0]["text"] for row in rows] == [button.label for button in buttons]
    assert rows[0][0]["callback_data"] == "day:5"
    assert all("reply_markup" not in message for message in server.sent[:-1])


async def test_an_answer_points_at_its_message(
    server: TelegramServer, hooked: WebhookTelegramAdapter, crossing: Crossing
) -> None:
    asked = server.chats.update_message(server.chats.person(ANN, "Ann"), text="When?")["message"]
    await hooked.send(outgoing(in_reply_to=f"{ANN}:{asked['message_id']}"), crossing)
    await hooked.send(outgoing(in_reply_to=f"{ANN}:1"), crossing)
    await hooked.send(outgoing(in_reply_to="<somewhere@else>"), crossing)
    assert [message.get("reply_to_message") for message in server.sent] == [asked, None, None]
    assert "reply_parameters" not in server.calls[-1][1]


async def test_topics_and_business_chats_are_reached(
    server: TelegramServer, hooked: WebhookTelegramAdapter, crossing: Crossing
) -> None:
    server.chats.group(SUPERGROUP, "Guides", forum=True)
    topic = await hooked.send(outgoing(chat_id=f"{SUPERGROUP}:77"), crossing)
    business = await hooked.send(outgoing(chat_id=f"Nf3xK0aB_9hPkQ:{ANN}"), crossing)
    first, second = server.sent
    assert (first["message_thread_id"], second["business_connection_id"]) == (77, "Nf3xK0aB_9hPkQ")
    assert topic == Sent(f"{SUPERGROUP}:{first['message_id']}")
    assert business == Sent(f"Nf3xK0aB_9hPkQ:{ANN}:{second['message_id']}")


async def test_a_group_that_moved_is_followed(
    server: TelegramServer, hooked: WebhookTelegramAdapter, crossing: Crossing
) -> None:
    server.chats.group(GROUP, "Guides")
    server.chats.group(SUPERGROUP, "Guides")
    server.chats.moved[GROUP] = SUPERGROUP
    result = await hooked.send(outgoing(chat_id=str(GROUP), text="x" * 5000), crossing)
    assert isinstance(result, Sent)
    assert [message["chat"]["id"] for message in server.sent] == [SUPERGROUP, SUPERGROUP]
    assert len(server.calls) == 3, "the second piece goes to the new group at once"
    assert result.external_id.startswith(f"{SUPERGROUP}:")


@pytest.mark.parametrize("address", ["", "\r\n", "nonsense", "0", "1:2:3", "12 34", "a" * 200 + ":5"])
async def test_what_is_no_chat_is_refused_before_anything_leaves(
    server: TelegramServer, hooked: WebhookTelegramAdapter, crossing: Crossing, address: str
) -> None:
    result = await hooked.send(outgoing(to=(Address("telegram", address),)), crossing)
    assert isinstance(result, Rejected)
    assert (server.calls, crossing.calls_before) == ([], [])


async def test_nothing_to_say_is_refused(hooked: WebhookTelegramAdapter, crossing: Crossing) -> None:
    assert isinstance(await hooked.send(outgoing(text=" \n", html="<p> </p>"), crossing), Rejected)
    assert crossing.calls_before == []


async def test_half_a_pair_does_not_stop_a_message(
    server: TelegramServer, hooked: WebhookTelegramAdapter, crossing: Crossing
) -> None:
    assert isinstance(await hooked.send(outgoing(text="a\ud83db"), crossing), Sent)
    assert server.sent[0]["text"] == "a?b"


LATER = Retry("", None)
FAULTS: list[tuple[str, Fault, SendResult, int]] = [
    ("too many", too_many(17), Retry("Telegram asks to send more slowly", 17.0, "429"), 0),
    ("internal error", error(500, "Internal Server Error"), Retry("", None, "500"), 0),
    ("bad gateway", BAD_GATEWAY, Retry("", None, "502"), 0),
    ("token revoked", error(401, "Unauthorized"), Retry("", 300.0, "401", refused=True), 0),
    ("token nonsense", error(404, "Not Found"), Retry("", 300.0, "404", refused=True), 0),
    ("blocked", error(403, "Forbidden: bot was blocked by the user"), Rejected("403", "", opted_out=True), 0),
    ("deactivated", error(403, "Forbidden: user is deactivated"), Rejected("403", "", opted_out=True), 0),
    ("kicked", error(403, "Forbidden: bot was kicked from the group chat"), Rejected("403", "", opted_out=True), 0),
    ("not begun", error(403, "Forbidden: bot can't initiate conversation with a user"), Rejected("403", ""), 0),
    ("no such chat", error(400, "Bad Request: chat not found"), Rejected("400", ""), 0),
    ("too large", error(413, "Request Entity Too Large"), Rejected("413", ""), 0),
    ("gateway gave up", error(504, "Gateway Timeout"), Unknown(""), 0),
    ("cut before acting", CUT_BEFORE, Unknown(""), 0),
    ("cut after acting", CUT_AFTER, Unknown(""), 1),
    ("unreadable after acting", GARBAGE_AFTER, Unknown(""), 1),
    ("no answer", HANG, Unknown(""), 0),
]


def without_words(result: SendResult) -> SendResult:
    return result if isinstance(result, Sent) else msgspec.structs.replace(result, reason="")


@pytest.mark.parametrize(("fault", "expected", "held"), [each[1:] for each in FAULTS], ids=[each[0] for each in FAULTS])
async def test_each_fault_has_its_meaning(
    server: TelegramServer, crossing: Crossing, fault: Fault, expected: SendResult, held: int
) -> None:
    client = Client(settings(server), Timing(answer=0.3 if fault is HANG else 30, connect=0.3 if fault is HANG else 5))
    server.fail(fault)
    result = await Sender(client, limits=NO_LIMITS).send(outgoing(), crossing)
    await client.close()
    assert without_words(result) == without_words(expected)
    assert not isinstance(result, Sent)
    assert result.reason
    assert server.token not in result.reason
    assert len(server.sent) == held
    assert len(crossing.calls_before) == 1


async def test_a_bot_thrown_out_of_a_group_opts_nobody_out(
    server: TelegramServer, hooked: WebhookTelegramAdapter, crossing: Crossing
) -> None:
    server.fail(error(403, "Forbidden: bot was kicked from the supergroup chat"))
    result = await hooked.send(outgoing(chat_id=str(SUPERGROUP)), crossing)
    assert isinstance(result, Rejected)
    assert not result.opted_out
    assert "removed from this group" in result.reason


async def test_a_send_during_which_the_inbox_is_closed_is_unknown(server: TelegramServer, crossing: Crossing) -> None:
    client = Client(settings(server), Timing())
    server.fail(HANG)
    sending = asyncio.ensure_future(Sender(client, limits=NO_LIMITS).send(outgoing(), crossing))
    await server.hanging.wait()
    await client.close()
    assert isinstance(await sending, Unknown)


async def test_a_server_nobody_vouches_for_gets_nothing(certificates: Certificates, crossing: Crossing) -> None:
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read())
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", ssl=certificates.server_context())
    port = listening.sockets[0].getsockname()[1]
    client = Client(
        TelegramSettings(token="7:abc", inbound="polling", webhook_secret="s", api_url=f"https://127.0.0.1:{port}"),
        Timing(),
    )
    result = await Sender(client, limits=NO_LIMITS).send(outgoing(), crossing)
    await client.close()
    listening.close()
    await listening.wait_closed()
    assert result == Retry("The certificate of Telegram's server is not trusted")
    assert heard == []


async def test_nobody_listens_there_so_nothing_left(crossing: Crossing) -> None:
    async with TelegramServer() as gone:
        client = Client(settings(gone), Timing(connect=5))
    result = await Sender(client, limits=NO_LIMITS).send(outgoing(), crossing)
    await client.close()
    assert isinstance(result, Retry)
    assert not result.refused
    assert gone.token not in result.reason


@pytest.mark.parametrize(
    ("fault", "held"),
    [
        (error(500, "Internal"), 1),
        (CUT_BEFORE, 1),
        (CUT_AFTER, 2),
        (error(403, "Forbidden: blocked"), 1),
        (too_many(99), 1),
    ],
)
async def test_a_fault_after_the_first_piece_is_unknown_and_counted(
    server: TelegramServer, hooked: WebhookTelegramAdapter, crossing: Crossing, fault: Fault, held: int
) -> None:
    server.fail(None, fault)
    result = await hooked.send(outgoing(text="x" * 9000), crossing)
    assert isinstance(result, Unknown)
    assert "1 of 3 parts left" in result.reason
    assert len(server.sent) == held


class Clock:
    """Time that passes by sleeping only."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(round(seconds, 3))


async def test_a_later_piece_waits_as_it_is_told(server: TelegramServer, crossing: Crossing) -> None:
    client, clock = Client(settings(server), Timing()), Clock()
    server.fail(None, too_many(4))
    sender = Sender(client, limits=NO_LIMITS, clock=lambda: clock.now, sleep=clock.sleep)
    result = await sender.send(outgoing(text="x" * 5000), crossing)
    await client.close()
    assert isinstance(result, Sent)
    assert [len(message["text"]) for message in server.sent] == [4096, 904]
    assert 4 in clock.slept


async def test_a_chat_gets_one_message_a_second_and_waits_before_the_point_of_no_return(
    server: TelegramServer,
) -> None:
    client, clock = Client(settings(server), Timing()), Clock()
    crossed: list[float] = []

    async def point_of_no_return() -> None:
        crossed.append(clock.now)

    sender = Sender(client, clock=lambda: clock.now, sleep=clock.sleep)
    for _ in range(3):
        assert isinstance(await sender.send(outgoing(), point_of_no_return), Sent)
    await client.close()
    assert crossed == [1000, 1001, 1002]


async def test_with_too_long_to_wait_the_message_goes_back_into_the_queue(
    server: TelegramServer, crossing: Crossing
) -> None:
    client, clock = Client(settings(server), Timing()), Clock()
    limits = Limits(chat=Limit(1 / 60, 1))
    sender = Sender(client, limits=limits, clock=lambda: clock.now, sleep=clock.sleep)
    assert isinstance(await sender.send(outgoing(), crossing), Sent)
    assert await sender.send(outgoing(), crossing) == Retry("Telegram takes only so many messages for one chat", 60.0)
    await client.close()
    assert len(crossing.calls_before) == 1
    assert len(server.sent) == 1


async def test_what_comes_after_a_429_does_not_ask_again_too_early(server: TelegramServer, crossing: Crossing) -> None:
    client, clock = Client(settings(server), Timing()), Clock()
    bold = server.chats.person(ANN + 1, "Bold")["id"]
    server.fail(too_many(60), None)
    sender = Sender(client, clock=lambda: clock.now, sleep=clock.sleep)
    assert isinstance(await sender.send(outgoing(), crossing), Retry)
    clock.now += 10
    assert await sender.send(outgoing(), crossing) == Retry("Telegram takes only so many messages for one chat", 50.0)
    assert isinstance(await sender.send(outgoing(chat_id=str(bold)), crossing), Sent)
    clock.now += 50
    assert isinstance(await sender.send(outgoing(), crossing), Sent)
    await client.close()
    assert len(crossing.calls_before) == 3
