"""How gunicorn serves the site. HOST, PORT, WEB_WORKERS and WEB_THREADS come from the environment."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

chdir = str(ROOT)
pythonpath = str(ROOT / "platform")
bind = f"{os.environ.get('HOST', '127.0.0.1')}:{os.environ.get('PORT', '8000')}"
workers = int(os.environ.get("WEB_WORKERS", "2"))
worker_class = "gthread"
threads = int(os.environ.get("WEB_THREADS", "8"))
# A worker is taken for dead only when its main thread is; a long upload holds one of the others.
timeout = 60
graceful_timeout = 4  # below the 5 seconds after which `serve` ends it by force
keepalive = 15
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108  (heartbeats, in memory)
control_socket_disable = True
loglevel = "warning"  # requests are logged by the site, with their ids
reload = os.environ.get("KINDRED_DEBUG", "").lower() in {"1", "true", "yes", "on"}
