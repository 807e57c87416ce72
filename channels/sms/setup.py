"""Looking at the account, the sender and its webhook at Twilio, and setting the webhook.

Account: https://www.twilio.com/docs/iam/api/account; numbers: .../docs/phone-numbers/api/incomingphonenumber-resource;
messaging services: .../docs/messaging/api/service-resource.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from channels.base import ChannelError, CheckStep, Ports, Refused, Unreachable
from channels.sms.errors import explain
from channels.sms.settings import API_URL, SmsSettings
from channels.twilio.http import Answer, Lost, NotSent, TwilioHttp
from channels.twilio.reach import reachable

MESSAGING_URL = "https://messaging.twilio.com"
_SIGN_IN, _SENDER, _HOOK = "Sign in", "Sender", "Incoming messages"
_OFF = CheckStep(
    _HOOK,
    ok=False,
    words="Twilio cannot reach this server: its public address is a private one. Messages cannot come in.",
)


class SmsSetup:
    """An inbox's counterpart at Twilio."""

    def __init__(self, settings: SmsSettings, http: TwilioHttp, ports: Ports) -> None:
        self._settings = settings
        self._http = http
        self._ports = ports
        self._account = f"{API_URL}/2010-04-01/Accounts/{settings.account_sid}"

    async def check(self) -> list[CheckStep]:
        """See `Adapter.check`."""
        steps = [await self._step(_SIGN_IN, self._check_account)]
        if steps[0].ok:
            steps.append(await self._step(_SENDER, self._check_sender))
        if all(step.ok for step in steps):
            steps.append(await self._step(_HOOK, self._check_hook))
        return steps

    async def connect(self) -> list[CheckStep]:
        """See `HookedAdapter.connect`."""
        return [await self._step(_HOOK, self._set_hook)]

    async def _step(self, name: str, look: Any) -> CheckStep:
        try:
            step: CheckStep = await look()
        except ChannelError as error:
            return CheckStep(name, ok=False, words=error.words)
        return step

    async def _check_account(self) -> CheckStep:
        account = await self._get(f"{self._account}.json")
        status = str(account.get("status", ""))
        if status != "active":
            return CheckStep(_SIGN_IN, ok=False, words=f"The Twilio account is {status}. Please sign in to Twilio.")
        name = str(account.get("friendly_name", ""))
        if account.get("type") == "Trial":
            words = f"Signed in to {name}. It is a trial account: it reaches only numbers that were verified in Twilio."
            return CheckStep(_SIGN_IN, ok=True, words=words)
        return CheckStep(_SIGN_IN, ok=True, words=f"Signed in to {name}")

    async def _check_sender(self) -> CheckStep:
        if self._settings.sender == "alpha":
            return CheckStep(_SENDER, ok=True, words="Customers see the sender id; they cannot answer it.")
        if self._settings.sender == "service":
            service = await self._service()
            return CheckStep(_SENDER, ok=True, words=f"Messaging service {service.get('friendly_name', '')}")
        if self._settings.whatsapp:
            # Twilio lists WhatsApp senders in another place, and sandbox ones nowhere.
            return CheckStep(
                _SENDER, ok=True, words="WhatsApp senders cannot be looked up. Please send yourself a message."
            )
        number = await self._number()
        capabilities = number.get("capabilities")
        if not isinstance(capabilities, Mapping) or not capabilities.get("sms"):
            return CheckStep(
                _SENDER, ok=False, words=f"{self._settings.address} cannot send SMS. Please choose another."
            )
        return CheckStep(_SENDER, ok=True, words=f"{self._settings.address} can send SMS")

    async def _check_hook(self) -> CheckStep:
        hook = self._ports.hook_url()
        if self._settings.sender == "alpha":
            return CheckStep(_HOOK, ok=True, words="None: a sender id cannot be answered.")
        if not reachable(hook, self._settings.api_url):
            return _OFF
        if self._settings.sender == "service":
            service = await self._service()
            if service.get("use_inbound_webhook_on_number"):
                return CheckStep(
                    _HOOK, ok=False, words="The messaging service leaves them to each number's own webhook."
                )
            return _compare(hook, str(service.get("inbound_request_url") or ""), service.get("inbound_method"))
        if self._settings.whatsapp:
            return self._whatsapp_by_hand(hook)
        number = await self._number()
        if number.get("sms_application_sid"):
            return CheckStep(
                _HOOK, ok=False, words="The number is handled by a TwiML application. Please remove it there."
            )
        return _compare(hook, str(number.get("sms_url") or ""), number.get("sms_method"))

    async def _set_hook(self) -> CheckStep:
        hook = self._ports.hook_url()
        if self._settings.sender == "alpha":
            return CheckStep(_HOOK, ok=True, words="None: a sender id cannot be answered.")
        if not reachable(hook, self._settings.api_url):
            return _OFF
        if self._settings.sender == "service":
            form = {"InboundRequestUrl": hook, "InboundMethod": "POST", "UseInboundWebhookOnNumber": "false"}
            await self._post(f"{MESSAGING_URL}/v1/Services/{self._settings.service_sid}", form)
        elif self._settings.whatsapp:
            return self._whatsapp_by_hand(hook)
        else:
            number = await self._number()
            url = f"{self._account}/IncomingPhoneNumbers/{number.get('sid', '')}.json"
            await self._post(url, {"SmsUrl": hook, "SmsMethod": "POST"})
        return await self._check_hook()

    def _whatsapp_by_hand(self, hook: str) -> CheckStep:
        words = f"Please enter this address in Twilio at the WhatsApp sender, for messages that come in: {hook}"
        return CheckStep(_HOOK, ok=True, words=words)

    async def _number(self) -> Mapping[str, Any]:
        """The number as Twilio has it. Raises `Refused` where the account has none such."""
        found = await self._get(
            f"{self._account}/IncomingPhoneNumbers.json", {"PhoneNumber": self._settings.address, "PageSize": "20"}
        )
        numbers = found.get("incoming_phone_numbers")
        for each in numbers if isinstance(numbers, list) else []:
            # The filter takes patterns, so it may find more than it was asked for.
            if isinstance(each, Mapping) and each.get("phone_number") == self._settings.address:
                return each
        raise Refused(f"The Twilio account has no number {self._settings.address}. Please check the settings.")

    async def _service(self) -> Mapping[str, Any]:
        return await self._get(f"{MESSAGING_URL}/v1/Services/{self._settings.service_sid}")

    async def _get(self, url: str, query: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        try:
            return _body(await self._http.get(url, query))
        except (NotSent, Lost) as error:
            raise Unreachable(str(error)) from error

    async def _post(self, url: str, form: Mapping[str, str]) -> Mapping[str, Any]:
        try:
            return _body(await self._http.post(url, form))
        except (NotSent, Lost) as error:
            raise Unreachable(str(error)) from error


def _body(answer: Answer) -> Mapping[str, Any]:
    """What was asked for. Raises `Unreachable` or `Refused`."""
    if answer.status == 200:
        return answer.json
    words = explain(answer.code, answer.message) or f"Twilio answered {answer.status}"
    if answer.status == 429 or answer.status >= 500:
        raise Unreachable(words, answer.code or str(answer.status))
    raise Refused(words, answer.code or str(answer.status))


def _compare(hook: str, url: str, method: object) -> CheckStep:
    if url == hook and method == "POST":
        return CheckStep(_HOOK, ok=True, words=f"Twilio hands them to {hook}")
    if not url:
        return CheckStep(_HOOK, ok=False, words="Twilio does not know yet where to hand them.")
    if url == hook:
        return CheckStep(_HOOK, ok=False, words="Twilio hands them over by GET; it has to be POST.")
    return CheckStep(_HOOK, ok=False, words=f"Twilio hands them to another address: {url}")
