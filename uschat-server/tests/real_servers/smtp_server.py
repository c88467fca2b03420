"""An SMTP server for tests, on aiosmtpd (Debian: python3-aiosmtpd). Started by smtp.rs, which explains the arguments.

Prints one JSON object a line: {"event": "ready", "port": N}, then what happens. Ends when its standard input does.
"""

import argparse
import asyncio
import email
import email.policy
import json
import logging
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

STAGES = ("greeting", "ehlo", "auth", "mail", "rcpt", "message")


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tls", choices=("none", "starttls", "implicit"), default="none")
    parser.add_argument("--cert")
    parser.add_argument("--key")
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--reject", metavar="STAGE=REPLY", action="append", default=[])
    parser.add_argument("--hang", choices=STAGES)
    parser.add_argument("--drop", choices=STAGES, help="end the connection there, without a reply")
    parser.add_argument("--idle", type=float, default=300, help="seconds after which a silent connection is closed")
    parser.add_argument("--goodbye", action="store_true", help="say 421 before closing a silent connection")
    return parser.parse_args()


def tell(event, **what):
    print(json.dumps({"event": event, **what}), flush=True)


class Handler:
    """Does at each stage what the arguments say."""

    def __init__(self, options):
        self.options = options
        self.rejections = dict(item.split("=", 1) for item in options.reject)

    async def at(self, stage, server):
        """The refusal of this stage, if any. Never returns if the stage hangs."""
        if self.options.hang == stage:
            tell("hanging", stage=stage)
            await asyncio.Event().wait()
        if self.options.drop == stage:
            server.transport.abort()
            await asyncio.Event().wait()
        return self.rejections.get(stage)

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        refusal = await self.at("ehlo", server)
        return [refusal] if refusal else responses

    async def handle_MAIL(self, server, session, envelope, address, options):
        refusal = await self.at("mail", server)
        if refusal:
            return refusal
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        refusal = await self.at("rcpt", server)
        if refusal:
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        refusal = await self.at("message", server)
        if refusal:
            return refusal
        encrypted = server.transport.get_extra_info("ssl_object") is not None
        tell("mail", connection=server.number, encrypted=encrypted, user=session.auth_data,
             sender=envelope.mail_from, options=envelope.mail_options, recipients=envelope.rcpt_tos,
             **parsed(envelope.original_content))
        return "250 accepted"


def parsed(content):
    """What a mail program makes of it: an implementation of MIME that is not the sender's."""
    message = email.message_from_bytes(content, policy=email.policy.default)
    parts = [{"type": part.get_content_type(), "charset": part.get_content_charset(), "text": part.get_content()}
             for part in message.walk() if not part.is_multipart()]
    defects = [repr(defect) for part in message.walk() for defect in part.defects]
    return {"headers": {name.lower(): str(value) for name, value in message.items()}, "parts": parts,
            "type": message.get_content_type(), "defects": defects,
            "longest_line": max(len(line) for line in content.split(b"\r\n")), "ascii": content.isascii()}


class Server(SMTP):
    connections = 0

    def connection_made(self, transport):
        if self._original_transport is None:
            Server.connections += 1
            self.number = Server.connections
            tell("connected", connection=self.number)
        super().connection_made(transport)

    def connection_lost(self, error):
        super().connection_lost(error)
        tell("closed", connection=self.number)

    async def _handle_client(self):
        refusal = await self.event_handler.at("greeting", self)
        if refusal:
            await self.push(refusal)
            self.transport.close()
            return
        await super()._handle_client()

    async def smtp_AUTH(self, argument):
        refusal = await self.event_handler.at("auth", self)
        if refusal:
            await self.push(refusal)
            return
        await super().smtp_AUTH(argument)

    def _timeout_cb(self):
        if self.event_handler.options.goodbye:
            self.transport.write(b"421 4.4.2 silent for too long\r\n")
        super()._timeout_cb()


def tls_context(options):
    if options.tls == "none":
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.cert, options.key)
    return context


async def serve(options):
    context = tls_context(options)

    def authenticate(server, session, envelope, mechanism, data):
        right = isinstance(data, LoginPassword) and (
            data.login.decode(), data.password.decode()) == (options.user, options.password)
        return AuthResult(success=right, handled=False, auth_data=data.login.decode() if right else None)

    def connection():
        return Server(
            Handler(options), hostname="mail.test", enable_SMTPUTF8=True, timeout=options.idle,
            tls_context=context if options.tls == "starttls" else None, auth_require_tls=False,
            auth_required=options.user is not None, authenticator=authenticate)

    implicit = context if options.tls == "implicit" else None
    loop = asyncio.get_running_loop()
    server = await loop.create_server(connection, "127.0.0.1", 0, ssl=implicit)
    tell("ready", port=server.sockets[0].getsockname()[1])
    # Ends with whoever started it, however that ends.
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    # It warns of passwords without encryption, which is what some tests are about.
    logging.disable(logging.WARNING)
    asyncio.run(serve(arguments()))
