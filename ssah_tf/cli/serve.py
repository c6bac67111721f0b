"""The command `ssah serve`."""

import errno
import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssah_tf.cli.extras import Export, Runtime, need
from ssah_tf.cli.idle import refuse_idle
from ssah_tf.cli.proxy import (
    AllowHost,
    AllowOrigin,
    ForwardedAllowIps,
    Reached,
    RootPath,
    reached,
)
from ssah_tf.export.web import HOW_TO_GET, files_of_coding
from ssah_tf.system.errors import SsahError
from ssah_tf.system.files import cache_folder

if TYPE_CHECKING:
    from ssah_tf.serve.middleware import Gate
    from ssah_tf.serve.settings import Settings

#: Shorter tokens could be guessed.
TOKEN_LENGTH = 16
#: Largest request of a page that sends no photos, bytes.
REQUEST = 2**20
#: Where a token is looked for if no file is named.
TOKEN_VARIABLE = "SSAH_TOKEN"

Host = Annotated[str, typer.Option(help="Listen on this address; 0.0.0.0 for all of this machine.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Listen on this port; 0 for a free one.")]
TokenFile = Annotated[
    Path | None,
    typer.Option(help=f"Ask clients for the token in this file; or for that in ${TOKEN_VARIABLE}."),
]

app = typer.Typer(rich_markup_mode=None)


@app.command()
def serve(
    ctx: typer.Context,
    index: Annotated[
        str, typer.Argument(help="Serve the index in this folder, or at this address.")
    ],
    host: Host = "127.0.0.1",
    port: Port = 8000,
    token_file: TokenFile = None,
    allow_host: AllowHost = None,
    allow_origin: AllowOrigin = None,
    root_path: RootPath = "",
    forwarded_allow_ips: ForwardedAllowIps = "",
    max_upload: Annotated[
        float, typer.Option(min=0.01, help="Refuse uploads of more MiB than this.")
    ] = 16,
    max_pixels: Annotated[
        float, typer.Option(min=0.01, help="Refuse images of more megapixels than this.")
    ] = 50,
    rate: Annotated[
        float,
        typer.Option(min=0, help="Allow a client so many searches a second; 0 for any number."),
    ] = 30,
    queue: Annotated[int, typer.Option(min=1, help="Take in so many searches at once.")] = 128,
    timeout: Annotated[
        float,
        typer.Option(
            min=1, help="Give up answers, and uploads that do not get on, after so many seconds."
        ),
    ] = 30,
    threads: Annotated[
        int, typer.Option(min=0, help="Compute so many searches at once; 0 for one a core.")
    ] = 0,
    originals: Annotated[
        bool,
        typer.Option(
            "--originals", help="Allow the files themselves to leave, with their metadata."
        ),
    ] = False,
    show_place: Annotated[
        bool, typer.Option("--show-place", help="Show where photos were taken, by coordinates.")
    ] = False,
    decoders: Annotated[
        int, typer.Option(min=1, help="Use so many processes to decode pictures.")
    ] = 2,
    cache: Annotated[
        Path | None,
        typer.Option(
            help="Keep thumbnails in this folder; by default in that of the user's cache."
        ),
    ] = None,
    cache_size: Annotated[
        float, typer.Option(min=0, help="Keep so many MiB of thumbnails; 0 for none.")
    ] = 512,
    encode_in_browser: Annotated[
        bool,
        typer.Option(
            "--encode-in-browser", help="Encode pictures in the browser, so that none is sent."
        ),
    ] = False,
    web_runtime: Annotated[
        Path | None,
        typer.Option(
            help="Take ONNX Runtime Web for that from this folder, the dist of its npm package."
        ),
    ] = None,
    runtime: Runtime = None,
    encoder: Export = None,
) -> None:
    """Search an index in a browser, and by HTTP."""
    need("serve", "ssah serve")
    if not cache_size:
        refuse_idle(ctx, "has no effect with --cache-size 0, which keeps nothing", "cache")
    if encode_in_browser != (web_runtime is not None):
        raise SsahError(f"--encode-in-browser and --web-runtime go together: {HOW_TO_GET}")
    from ssah_tf.serve.app import make_app
    from ssah_tf.serve.library import LiveLibrary
    from ssah_tf.serve.settings import Settings

    settings = Settings(
        token=read_token(token_file),
        **reached(host, allow_host, allow_origin, root_path, forwarded_allow_ips),
        max_upload=round(max_upload * 2**20),
        max_pixels=round(max_pixels * 1e6),
        rate=rate,
        queue=queue,
        timeout=timeout,
        threads=threads,
        originals=originals,
        show_place=show_place,
        decoders=decoders,
        warm=True,
        cache=cache or cache_folder(),
        cache_size=round(cache_size * 2**20),
    )
    coding = None if web_runtime is None else files_of_coding(web_runtime)
    with listen(host, port) as listener, LiveLibrary(index, runtime, encoder) as live:
        tell_open(settings, listener)
        about = f"{len(live.current):,} photos, model {live.current.encoder.model_id}\nsearch page"
        run(make_app(live, settings, coding), settings, listener, about)


def tell_open(settings: "Settings", listener: socket.socket) -> None:
    """Say on stderr if everybody who reaches the address can look at the photos."""
    if settings.token is None and reaches_others(settings, listener):
        typer.echo(
            "without a token everybody who reaches this address can look at these photos: "
            "see --token-file",
            err=True,
        )


def page_settings(token_file: Path | None, reached_as: Reached) -> "Settings":
    """The settings of a page that sends no photos.

    Args:
        token_file: Where a token is read from.
        reached_as: See `reached`.

    Raises:
        SsahError: There is no usable token in the file.
    """
    from ssah_tf.serve.settings import Settings

    return Settings(
        token=read_token(token_file),
        **reached_as,
        max_upload=REQUEST,
        rate=0,
        warm=True,
        cache=cache_folder(),
    )


def refuse_open(settings: "Settings", listener: socket.socket, host: str, what: str) -> None:
    """Refuse an address that others reach without a token, for a page that changes things.

    Args:
        settings: With the token.
        listener: Where it listens.
        host: The address as it was given.
        what: Whoever reaches it could do.

    Raises:
        SsahError: There is no token, and the address is not loopback.
    """
    if settings.token is None and reaches_others(settings, listener):
        raise SsahError(
            f"{host}: whoever reaches this address could {what}: give a token with --token-file"
        )


def run(
    app: "Gate",
    settings: "Settings",
    listener: socket.socket,
    about: str,
) -> None:
    """Serve until Ctrl-C or SIGTERM; what is being answered then is answered to its end.

    Args:
        app: The service.
        settings: Its limits.
        listener: Where it listens.
        about: What to print before the address of its page.
    """
    import uvicorn

    from ssah_tf.serve.connection import timed

    config = uvicorn.Config(
        app,
        http=timed(settings),
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.proxies),
        forwarded_allow_ips=settings.proxies,
        timeout_graceful_shutdown=10,
    )
    server = uvicorn.Server(config)

    def stop(*_: object) -> None:
        server.should_exit = True

    # Before uvicorn takes the signals itself, and once more when it has stopped in good order.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    address, port = listener.getsockname()[:2]
    name = f"[{address}]" if ":" in address else address
    open_to_all = address in ("0.0.0.0", "::")
    typer.echo(
        f"{about}: http://{socket.gethostname() if open_to_all else name}:{port}/  (Ctrl-C stops)"
    )
    server.run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        SsahError: The address is none of this machine, or the port is in use or not allowed.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)  # asyncio sets TCP_NODELAY by the protocol
    except OSError as error:
        raise SsahError(f"{host}: no address of this machine ({error.strerror})") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise SsahError(f"port {port} is in use: name another with --port") from None
        if error.errno == errno.EACCES:
            raise SsahError(f"port {port} is not yours to take: name another with --port") from None
        raise SsahError(f"{host}: no address of this machine ({error.strerror})") from None
    return listener


def reaches_others(settings: "Settings", listener: socket.socket) -> bool:
    """Whether other machines can reach a service: by its address, or through a proxy."""
    proxied = settings.origins or settings.root_path or settings.proxies
    return bool(proxied) or not is_loopback(listener.getsockname()[0])


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach an address."""
    return address == "::1" or address.startswith("127.")


def read_token(file: Path | None) -> str | None:
    """The token of a file, or of the environment; `None` if there is none.

    Raises:
        SsahError: The file cannot be read, or the token is too short or not plain text.
    """
    if file is None:
        token, place = os.environ.get(TOKEN_VARIABLE), f"${TOKEN_VARIABLE}"
        if token is None:
            return None
    else:
        place = str(file)
        try:
            token = file.read_text(encoding="ascii")
        except OSError as error:
            raise SsahError(f"{file}: cannot be read ({error.strerror})") from None
        except UnicodeDecodeError:
            raise SsahError(f"{file}: a token is plain ASCII text") from None
    token = token.strip()
    if len(token) < TOKEN_LENGTH or not (token.isascii() and token.isprintable()) or " " in token:
        raise SsahError(
            f"{place}: a token has {TOKEN_LENGTH} or more letters and digits; make one with "
            "`openssl rand -hex 24`"
        )
    return token
