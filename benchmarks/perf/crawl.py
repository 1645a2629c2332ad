"""Speed of `lhq crawl` from a host on this machine, against the plain way and img2dataset, and its memory.

2,000 JPEGs of about 170 KB, served by nginx (without it, by Python, which is then the limit), the limiter off, and
all else as in real use: hashes, completeness checks, placement in one move, tables. The plain way is a pool of kept
connections that fetches, hashes and writes. img2dataset runs where `--peer` names its command. Both count from the
first request to the last file; so do we, from the first request to the last commit.
"""

import contextlib
import csv
import hashlib
import io
import json
import multiprocessing
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import urllib3
from PIL import Image

from benchmarks.perf._bench import Options, Row, compare, parse_options, publish
from manifests.dataset import Dataset

IMAGES, LARGE = 2_000, 20_000
WIDTH, HEIGHT, QUALITY = 1152, 768, 88  # of a picture of about 170 KB
PROCESSES, THREADS = 2, 32
NGINX = """
worker_processes 1; daemon off; pid {place}/nginx.pid; error_log {place}/nginx.log; {user}
events {{ worker_connections 2048; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; types {{ image/jpeg jpg; }}
  client_body_temp_path {place}/a; proxy_temp_path {place}/b; fastcgi_temp_path {place}/c;
  uwsgi_temp_path {place}/d; scgi_temp_path {place}/e;
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


def make_pictures(root: Path) -> int:
    """2,000 different JPEGs; returns their mean size in bytes."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    ramps = np.stack([x / WIDTH, y / HEIGHT, (x + y) / (WIDTH + HEIGHT)], -1) * 255
    base = []
    for seed in range(8):
        noisy = ramps + 7 * np.random.default_rng(seed).standard_normal(ramps.shape, np.float32)
        out = io.BytesIO()
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(out, "jpeg", quality=QUALITY)
        base.append(out.getvalue())
    for index in range(IMAGES):
        data, comment = base[index % len(base)], b"%08d" % index
        marked = data[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + data[2:]
        (root / f"{index:05d}.jpg").write_bytes(marked)
    return round(statistics.mean(map(len, base)))


class _Quiet(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass


def _serve(root: str, port: int) -> None:
    os.chdir(root)
    ThreadingHTTPServer(("127.0.0.1", port), _Quiet).serve_forever()


@contextlib.contextmanager
def host(root: Path, place: Path) -> Iterator[tuple[str, str]]:
    """The pictures on loopback: URL, and what serves them."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    nginx = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if nginx:
        conf = place / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""
        conf.write_text(NGINX.format(place=place, port=port, root=root, user=user))
        server: multiprocessing.Process | subprocess.Popen[bytes] = subprocess.Popen(
            [nginx, "-c", str(conf), "-e", str(place / "nginx.log")], stderr=subprocess.DEVNULL
        )
    else:
        server = multiprocessing.Process(target=_serve, args=(str(root), port), daemon=True)
        server.start()
    try:
        for _ in range(100):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", "nginx" if nginx else "http.server"
    finally:
        server.terminate()
        server.wait() if isinstance(server, subprocess.Popen) else server.join()


def _plain_part(url: str, names: list[str], out: Path, began: "multiprocessing.Queue[float]") -> None:
    """Fetches, hashes and writes, with kept connections and nothing else."""
    pool = urllib3.connection_from_url(url, maxsize=THREADS)

    def one(name: str) -> None:
        data = pool.request("GET", f"/{name}").data
        (out / f"{hashlib.sha256(data).hexdigest()}.jpg").write_bytes(data)

    began.put(time.time())
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(one, names))


def plain(url: str, out: Path) -> float:
    """Images per second of the plain way, in two processes."""
    out.mkdir()
    names = [f"{index:05d}.jpg" for index in range(IMAGES)]
    began: multiprocessing.Queue[float] = multiprocessing.Queue()
    parts = [
        multiprocessing.Process(target=_plain_part, args=(url, names[part::PROCESSES], out, began))
        for part in range(PROCESSES)
    ]
    for part in parts:
        part.start()
    for part in parts:
        part.join()
    seconds = time.time() - min(began.get() for _ in parts)
    if len(list(out.iterdir())) != IMAGES:
        raise SystemExit("the plain way lost pictures")
    return IMAGES / seconds


def release(folder: Path, url: str, count: int) -> None:
    """An Unsplash Dataset that lists so many pictures (each file many times where there are more than 2,000)."""
    folder.mkdir()
    with (folder / "photos.tsv000").open("w", newline="") as stream:
        writer = csv.writer(stream, delimiter="\t")
        writer.writerow(["photo_id", "photo_url", "photo_image_url", "photo_width", "photo_height"])
        for index in range(count):
            image = f"{url}/{index % IMAGES:05d}.jpg"
            writer.writerow([f"p{index:010d}", f"https://unsplash.com/photos/p{index:010d}", image, WIDTH, HEIGHT])


def crawl(place: Path, name: str, url: str, count: int, workers: int = PROCESSES) -> tuple[float, float]:
    """Images per second of `lhq crawl`, and the peak memory of the process that drives it, in MB."""
    release(place / f"{name}-list", url, count)
    dataset = place / name
    command = [sys.executable, "-m", "lhq_toolkit.cli", "crawl", str(dataset), "--source", "unsplash-dataset"]
    command += ["--path", str(place / f"{name}-list"), "--image-rate", "none", "--connections", str(2 * THREADS)]
    command += ["--workers", str(workers), "--json"]
    env = {**os.environ, "LHQ_ALLOW_PRIVATE_HOSTS": "1", "LHQ_CONTACT": "perf@example.org"}
    said = place / f"{name}.json"
    with said.open("w") as out, (place / f"{name}.log").open("w") as log:
        process = subprocess.Popen(command, env=env, stdout=out, stderr=log)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0 or json.loads(said.read_text())["fetched"] != count:
        raise SystemExit(f"lhq crawl failed: {said.read_text()}{(place / f'{name}.log').read_text()}")
    files = Dataset.open(dataset).files_table
    first = min(files.read(["fetched_at"])["fetched_at"].to_pylist()).timestamp()
    last = max(part.path.stat().st_mtime for part in files.parts())
    shutil.rmtree(dataset)
    return count / (last - first), used.ru_maxrss / 1024


def peer(command: str, url: str, place: Path) -> float:
    """Images per second that img2dataset reports."""
    names = place / "urls.txt"
    names.write_text("\n".join(f"{url}/{index:05d}.jpg" for index in range(IMAGES)))
    asked = [command, "--url_list", str(names), "--output_folder", str(place / "peer"), "--resize_mode", "no"]
    asked += ["--processes_count", str(PROCESSES), "--thread_count", str(THREADS), "--output_format", "files"]
    asked += ["--number_sample_per_shard", str(IMAGES // PROCESSES)]
    ran = subprocess.run(asked, capture_output=True, text=True, check=True)
    said = re.findall(r"total\s+- success: ([0-9.]+).*?images per sec: (\d+)", ran.stdout + ran.stderr)
    if not said or float(said[-1][0]) < 1:
        raise SystemExit(f"img2dataset failed: {ran.stdout[-500:]}{ran.stderr[-500:]}")
    shutil.rmtree(place / "peer")
    return float(said[-1][1])


def measure(options: Options) -> tuple[list[Row], dict[str, str]]:
    """All rows, and facts of the run."""
    repeats = 5 if options.full else 3
    with tempfile.TemporaryDirectory(prefix="lhq-perf-") as name:
        place = Path(name)
        (place / "www").mkdir()
        size = make_pictures(place / "www")
        with host(place / "www", place) as (url, server):
            ours, theirs, peers = [], [], []
            plain(url, place / "warm-up")
            for turn in range(repeats):
                theirs.append(plain(url, place / f"plain-{turn}"))
                ours.append(crawl(place, f"crawl-{turn}", url, IMAGES)[0])
                if options.peer:
                    peers.append(peer(options.peer, url, place))
                shutil.rmtree(place / f"plain-{turn}")
            speed = statistics.median(ours)
            rows = [compare("lhq crawl / plain pool: fetch, hash, write", speed, statistics.median(theirs), "images/s")]
            if peers:
                rows.append(compare("lhq crawl / img2dataset", speed, statistics.median(peers), "images/s"))
            else:
                rows.append(Row("lhq crawl / img2dataset", speed, "images/s", None, None, "no --peer was named"))
            if options.full:
                small, large = (crawl(place, f"memory-{count}", url, count, workers=0)[1] for count in (IMAGES, LARGE))
                rows.append(compare(f"peak memory: {LARGE:,} photos / {IMAGES:,}", large, small, "MB"))
    return rows, {"server": server, "bytes": str(size)}


def main() -> None:
    """Measures and prints; about 90 s, with --full about 6 minutes."""
    options = parse_options("Speed of lhq crawl from a host on this machine.", peer="the command of img2dataset")
    rows, facts = measure(options)
    publish("crawl", rows, options, **facts)


if __name__ == "__main__":
    main()
