"""The Bot API server of the tests is itself held to account: by a client that is not ours, and by nonsense."""

from __future__ import annotations

import pytest
import telegram

from channels.telegram.client import ApiError, Client, Timing
from tests.channels.telegram.conftest import ANN, settings
from tests.fakes.telegram_server import TelegramServer, too_many


@pytest.mark.filterwarnings("ignore::telegram.warnings.PTBDeprecationWarning")  # of its own attribute
async def test_another_client_understands_the_server(server: TelegramServer) -> None:
    base = f"{server.url}/bot"
    async with telegram.Bot(server.token, base_url=base, base_file_url=f"{server.url}/file/bot") as bot:
        message = await bot.send_photo(ANN, b"\xff\xd8photo", caption="Ger")
        album = await bot.send_media_group(
            ANN, [telegram.InputMediaPhoto(b"one", caption="1"), telegram.InputMediaPhoto(b"two")]
        )
        content = await (await bot.get_file(message.photo[-1].file_id)).download_as_bytearray()
        await server.deliver(server.chats.update_message(server.chats.person(ANN, "Ann"), text="Hi"))
        (update,) = await bot.get_updates()
        with pytest.raises(telegram.error.BadRequest, match="hat not found"):
            await bot.send_message(1, "x")
        server.fail(too_many(3))
        with pytest.raises(telegram.error.RetryAfter):
            await bot.send_message(ANN, "x")
    assert (message.caption, message.chat.id, bytes(content)) == ("Ger", ANN, b"\xff\xd8photo")
    assert len({each.media_group_id for each in album}) == 1
    assert update.message is not None
    assert update.message.text == "Hi"


async def test_the_server_listens_where_it_is_told() -> None:
    first = TelegramServer()
    await first.start()
    port = int(first.url.rpartition(":")[2])
    await first.stop()
    second = TelegramServer()
    await second.start(port)
    assert second.url.endswith(f":{port}")
    await second.stop()


async def test_the_server_fails_a_test_that_sends_nonsense() -> None:
    strict = TelegramServer()
    await strict.start()
    client = Client(settings(strict), Timing())
    with pytest.raises(ApiError, match="Bad Request"):
        await client.call("sendMessage", {"chat_id": 5, "text": "x", "colour": "red"})
    await client.close()
    with pytest.raises(AssertionError, match="no parameter colour"):
        await strict.__aexit__(None)
