"""A diagnosis and its parts, and what to do about each cause."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Cause", "Explanation", "cause"]

_REMEDIES = {
    "missing_header": "Port sends both headers. Let every proxy and gateway pass "
    "x-port-signature and x-port-timestamp on, or look for who else calls this URL.",
    "duplicate_header": "Find the hop that adds or repeats the header, and let it send "
    "one value.",
    "malformed_header": "Find what rewrites the header, and pass its value on as it "
    "came: v1, a comma and 44 characters of base64, or a time of 10 or 13 digits.",
    "timestamp_too_old": "If the delivery was new, set this machine's clock (NTP), or "
    "find the queue that held it. If it was saved before, say when it arrived: --at on "
    "the command line, now= in Python.",
    "timestamp_in_future": "Set this machine's clock (NTP). If the delivery was saved "
    "before, say when it arrived: --at on the command line, now= in Python.",
    "agent_form": "Build the verifier with agent=True.",
    "reserialised": "Verify the raw bytes, before anything parses the JSON, and let no "
    "proxy reprint it. agent=True accepts added white space, and nothing else.",
    "newline_added": "Find what appends it (an editor, echo, a template), and pass on "
    "the body as it came.",
    "newline_removed": "Pass on the body as it came; with curl use --data-binary, "
    "since -d strips line breaks.",
    "bom_added": "Find what writes the file or the text as UTF-8 with a byte order "
    "mark, and write it without.",
    "text_reencoded": "Pass on bytes, not text; or decode and encode with UTF-8 in "
    "every place.",
    "url_encoded": "Read the raw body, not a form field, and send it without URL "
    "encoding.",
    "html_escaped": "Take the body from where it is not prepared for an HTML page.",
    "base64_body": "Decode the base64 before verifying; in Lambda look at "
    "isBase64Encoded, as the aws_lambda adapter does.",
    "gzip_body": "Port does not compress. Switch compression of requests off, or "
    "decompress before verifying.",
    "truncated": "Read the whole body: look for a size limit of the proxy or the "
    "server, a lost connection, or a copy that was cut.",
    "timestamp_changed": "Verify with the text of the header as it came. Do not "
    "convert it to another unit.",
    "secret_whitespace": "Store the secret without white space, line breaks and "
    "invisible characters: printf %s, not echo.",
    "secret_quoted": "Store the secret without the quotes; many .env readers keep "
    "them.",
    "other_secret": "Configure the secret that matches; during a rotation add it to "
    "previous_secrets (PORT_CLIENT_SECRET_PREVIOUS).",
    "renamed_header": "Let the proxy or gateway keep the names x-port-signature and "
    "x-port-timestamp.",
    "unprefixed_signature": "Pass on the value as it came, with its v1 and comma.",
    "hex_signature": "Port's webhooks sign in base64 behind v1 and a comma. Look for "
    "another sender, or for what converts the header.",
    "sha1_signature": "Port signs with SHA-256. SHA-1 comes from another product, or "
    "from code that follows outdated documentation.",
    "kafka_form": "Verify it with port_webhook.adapters.kafka, or with "
    "verify_kafka_event in Lambda.",
    "http_form": "Verify the body and the two headers with Verifier.verify, not with "
    "the Kafka adapter.",
    "unknown": "Compare the secret with the one that Port shows, and the body with "
    "what Port sent, byte by byte. Give other secrets that may be in use as "
    "candidates.",
}


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason why a delivery does not verify.

    Attributes:
        code: A stable word, such as ``newline_added``.
        proven: A MAC was recomputed, or a header parsed, that shows it. False: there
            are only signs of it.
        text: The cause, in a sentence or two.
        remedy: The remedy, in a sentence or two.
    """

    code: str
    proven: bool
    text: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Whether a delivery verifies, and if not, why.

    ``str()`` reads like the output of ``port-webhook explain``. Nothing in it shows a
    secret, a signature or the body.

    Attributes:
        verified: A `Verifier` with the first secret accepts the delivery.
        causes: Why not; empty for one that verifies.
    """

    verified: bool
    causes: tuple[Cause, ...]

    @property
    def summary(self) -> str:
        """The first line of the output."""
        if self.verified:
            return "The delivery verifies."
        count = len(self.causes)
        noun = "cause" if count == 1 else "causes"
        return f"The delivery does not verify: {count} {noun}."

    def __str__(self) -> str:
        """Return the output of the command, without colours."""
        lines = [self.summary]
        for number, each in enumerate(self.causes, 1):
            proven = "proven" if each.proven else "not proven"
            lines += [
                "",
                f"{number}. {each.code} ({proven})",
                f"   {each.text}",
                f"   To do: {each.remedy}",
            ]
        return "\n".join(lines)


def cause(code: str, text: str, *, proven: bool = True) -> Cause:
    """Make the cause *code*, with its remedy."""
    return Cause(code, proven, text, _REMEDIES[code])
