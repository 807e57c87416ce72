"""Files that came with a message: fetched from Twilio with our credentials, from anywhere else without.

https://www.twilio.com/docs/messaging/api/media-resource: the API answers with a redirect to where the file is stored.
"""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import aiohttp

from channels.base import Attachment, ChannelError, Refused, Unreachable
from channels.twilio.http import NotSent, TooLong, TwilioHttp, basic_auth, read_at_most
from channels.twilio.reach import is_private_host

TIMEOUT = 120.0
"""Seconds for a whole file."""
_REDIRECTS = 3
_MOVED = frozenset({301, 302, 303, 307, 308})


async def fetch(http: TwilioHttp, ref: str, max_bytes: int) -> Attachment:
    """The file at `ref`; see `FetchingAdapter.fetch`.

    `ref` comes from a webhook, so credentials go to the API's own origin only, and never along with a redirect; a
    private address is asked only if it is the API's.
    """
    url, auth = ref, _auth_for(http, ref)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT, connect=http.timing.connect, sock_read=http.timing.answer)
    try:
        for _ in range(_REDIRECTS + 1):
            _refuse_private(http, url)
            async with http.open_session().get(url, headers=auth, timeout=timeout, allow_redirects=False) as response:
                if response.status in _MOVED:
                    url, auth = urljoin(url, response.headers.get("Location", "")), {}
                    continue
                return await _read(response, ref, max_bytes)
    except TooLong as error:
        raise ChannelError(f"The file is larger than {max_bytes / 2**20:.0f} MB") from error
    except (aiohttp.InvalidURL, ValueError) as error:
        raise ChannelError("The file's address is not one") from error
    except (aiohttp.ClientError, OSError, NotSent) as error:
        raise Unreachable(f"The file cannot be fetched: {str(error) or 'no answer in time'}") from error
    raise ChannelError("The file's address leads on and on")


def _auth_for(http: TwilioHttp, url: str) -> dict[str, str]:
    return basic_auth(http.auth if _origin(url) == _origin(http.base_url) else None)


def _origin(url: str) -> tuple[str, str, int | None]:
    split = urlsplit(url)
    default = {"https": 443, "http": 80}.get(split.scheme)
    return split.scheme, (split.hostname or "").lower(), split.port or default


def _refuse_private(http: TwilioHttp, url: str) -> None:
    own = _origin(http.base_url)
    scheme, host, _ = origin = _origin(url)
    if scheme != "https" and not (scheme == "http" and own[0] == "http"):
        raise ChannelError("The file's address is not encrypted")
    if origin != own and (is_private_host(url) or host == own[1]):
        raise ChannelError("The file's address is inside a private network")


async def _read(response: aiohttp.ClientResponse, ref: str, max_bytes: int) -> Attachment:
    status = response.status
    if status in (401, 403):
        raise Refused("Twilio did not let us have the file. Please check the credentials in the settings.", str(status))
    if status == 429 or status >= 500:
        raise Unreachable(f"The file cannot be fetched for the moment: the server answered {status}", str(status))
    if status != 200:
        raise ChannelError("The file is not there any more", str(status))
    if response.content_length is not None and response.content_length > max_bytes:
        raise TooLong
    content = await read_at_most(response, max_bytes)
    given = response.content_disposition.filename if response.content_disposition else None
    return Attachment(
        name=(given or "").replace("\\", "/").rpartition("/")[2][:200],
        media_type=response.content_type,
        size=len(content),
        content=content,
        ref=ref,
    )
