"""The Content-Security-Policy: what a page may load, and from where."""

#: Scripts, styles and pictures come from the service alone.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
#: The same for a page with a worker.
WITH_WORKER = f"{POLICY}; worker-src 'self'"
#: The same for a worker that runs WebAssembly.
WITH_WASM = POLICY.replace("script-src 'self'", "script-src 'self' 'wasm-unsafe-eval'")
