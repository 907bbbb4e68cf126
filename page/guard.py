"""Who may ask. The page is for the person at this machine: requests for another host's name (DNS rebinding) and those
that another site's page makes are refused, also for web sockets. Where other machines may ask, they need a password.
"""

import asyncio
import hmac
import html
import secrets
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlsplit

MOST_BYTES = 2**30  # of one upload
HEADERS = [(b"x-content-type-options", b"nosniff"), (b"x-frame-options", b"DENY"), (b"referrer-policy", b"no-referrer"),
           (b"cross-origin-resource-policy", b"same-origin")]
COOKIE = "texture_page"
WRONG_WAIT = 1.0  # seconds until a wrong password is answered
SHORTEST = 8  # characters of a password
LOGIN = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Texture Diffusion</title><style>body{{font:16px system-ui;max-width:20rem;margin:20vh auto;padding:0 1rem}}
input,button{{font:inherit;width:100%;box-sizing:border-box;padding:.6rem;margin:.4rem 0}}</style>
<h1>Texture Diffusion</h1><form method="post" action="/login"><label>Password
<input name="password" type="password" autofocus autocomplete="current-password"></label>
<button>Open</button><p role="alert">{message}</p></form></html>"""


class Guard:
    """An ASGI application around another one.

    hosts: names that requests may be for, None: any; password: what other machines' people have to know, or None.
    """

    def __init__(self, app, hosts, password=None, most_bytes=MOST_BYTES):
        self.app, self.hosts, self.password, self.most_bytes = app, hosts, password, most_bytes
        self.tokens = set()  # of those who knew the password

    async def __call__(self, scope, receive, send):
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refused = self.refusal(headers)
        if refused:
            return await self.refuse(scope, send, 403, refused)
        if self.password is not None and not self.knows(headers):
            return await self.login(scope, receive, send)
        if int(headers.get("content-length") or 0) > self.most_bytes:
            return await self.refuse(scope, send, 413, f"an upload may have {self.most_bytes / 1e6:.0f} MB")
        await self.app(scope, self.counted(receive), with_headers(send))

    def refusal(self, headers):
        """Why a request is refused, or None."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if self.hosts is not None and urlsplit(f"//{host}").hostname not in self.hosts:
            return "this page is not for that host"
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return "another site's page may not ask this one"
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and headers.get("sec-fetch-mode") != "navigate":
            return "another site's page may not show what this one has"
        return None

    def knows(self, headers):
        """Whether a request comes from someone who knew the password."""
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        return cookie is not None and any(hmac.compare_digest(cookie.value, token) for token in self.tokens)

    async def login(self, scope, receive, send):
        """Ask for the password, or take it."""
        if scope["type"] == "websocket" or scope["method"] == "POST" and scope["path"] != "/login":
            return await self.refuse(scope, send, 401, "a password is needed")
        message = ""
        if scope["method"] == "POST":
            body = (await receive()).get("body", b"")[:10_000]
            given = parse_qs(body.decode(errors="replace")).get("password", [""])[0]
            if hmac.compare_digest(given.encode(), self.password.encode()):
                token = secrets.token_urlsafe(32)
                self.tokens.add(token)
                cookie = f"{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/"
                return await answer(send, 303, "", [(b"location", b"/"), (b"set-cookie", cookie.encode())])
            await asyncio.sleep(WRONG_WAIT)
            message = "That is not the password."
        await answer(send, 401 if message else 200, LOGIN.format(message=html.escape(message)))

    async def refuse(self, scope, send, status, sentence):
        """Answer with a sentence, or close a web socket that was not opened yet."""
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008, "reason": sentence})
        await answer(send, status, sentence, [(b"content-type", b"text/plain")])

    def counted(self, receive):
        """receive() that ends a request with a body that is too large without having said so."""
        left = self.most_bytes

        async def call():
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b"")) if message["type"] == "http.request" else 0
            return message if left >= 0 else {"type": "http.disconnect"}

        return call


async def answer(send, status, text, headers=()):
    """Send a whole answer, HTML unless headers say otherwise."""
    kind = [] if any(name == b"content-type" for name, _ in headers) else [(b"content-type", b"text/html")]
    await send({"type": "http.response.start", "status": status, "headers": [*kind, *headers, *HEADERS]})
    await send({"type": "http.response.body", "body": text.encode()})


def with_headers(send):
    """send() that adds HEADERS."""
    async def call(message):
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *HEADERS]}
        await send(message)

    return call
