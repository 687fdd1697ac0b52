"""Look at the built site as a reader would: links, pictures, scripts, widths, search.

    python tools/check_site.py docs/_build                 files alone: links, anchors, pictures
    python tools/check_site.py docs/_build --browser       and every page in headless Chromium

The first finds links, anchors, pictures, styles and scripts that lead to nothing within the site,
and whatever a page would fetch from elsewhere; links to other sites are not followed. The second
opens every page at a desktop's and a phone's width, and finds errors of scripts, pictures that are
not shown, pages that are wider than the window, and a search without results. Each complaint is a
line; the status is 1 if there are any. --screenshots FOLDER keeps a picture of each page.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import http.server
import shutil
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

WIDTHS = {"desktop": (1280, 900), "phone": (390, 844)}
SEARCHED = "early_stopping"
SECONDS = 120  # for a page on a busy machine
SEARCH_SECONDS = 30  # for the first result, once its page is there


def pages_of(folder):
    """The site's pages: what the theme keeps among its static files is none."""
    return sorted(p for p in folder.rglob("*.html") if "_static" not in p.relative_to(folder).parts)


# Files


class Page(HTMLParser):
    """Anchors of a page, its links, and what it loads."""

    LOADS = {"img": "src", "script": "src", "source": "src", "iframe": "src", "video": "src"}

    def __init__(self, text):
        super().__init__()
        self.anchors, self.links, self.loads = {"", "top"}, [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.anchors.update(found[key] for key in ("id", "name") if found.get(key))
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if tag == "link" and found.get("href"):
            loaded = {"stylesheet", "icon", "preload", "script"} & set(found.get("rel", "").split())
            (self.loads if loaded else self.links).append(found["href"])
        if found.get(self.LOADS.get(tag)):
            self.loads.append(found[self.LOADS[tag]])


class Files:
    """The built site's files, each page read once."""

    def __init__(self, folder):
        self.folder = folder.resolve()
        self._read = {}

    def page(self, path):
        if path not in self._read:
            self._read[path] = Page(path.read_text("utf-8"))
        return self._read[path]

    def fault(self, place, address):
        """What is wrong with an address on the page at `place`; None if nothing is."""
        base = "http://site/" + place.relative_to(self.folder).as_posix()
        parts = urlsplit(urljoin(base, address))
        if parts.scheme not in ("http", "https") or parts.netloc != "site":
            return None
        target = self.folder / unquote(parts.path).lstrip("/")
        if target.is_dir():
            target /= "index.html"
        if not target.is_file():
            return "leads to no file"
        if parts.fragment and target.suffix == ".html":
            if unquote(parts.fragment) not in self.page(target).anchors:
                return "has no such anchor"
        return None


def check_files(folder):
    """Complaints about addresses on the pages of a built site."""
    files = Files(folder)
    complaints = []
    for path in pages_of(files.folder):
        name = path.relative_to(files.folder)
        page = files.page(path)
        for address in page.loads:
            if urlsplit(address).netloc:
                complaints.append(f"{name}: fetched from elsewhere: {address}")
        for address in dict.fromkeys([*page.loads, *page.links]):
            if fault := files.fault(path, address):
                complaints.append(f"{name}: {fault}: {address}")
    return complaints


# The browser

LOOK = """
const width = arguments[0], done = arguments[1];
const shown = image => {
  image.loading = "eager";
  return image.decode().catch(() => null);
};
const ready = window.MathJax && MathJax.startup && MathJax.startup.promise;
Promise.all([ready, ...Array.from(document.images, shown)]).catch(() => null).then(() => {
  const scrolls = element => {
    for (let up = element.parentElement; up && up !== document.body; up = up.parentElement)
      if (getComputedStyle(up).overflowX !== "visible") return true;
    return false;
  };
  const wide = Array.from(document.querySelectorAll("body *"))
    .filter(e => e.getBoundingClientRect().right > width + 1 && !scrolls(e))
    .map(e => e.tagName.toLowerCase() + (e.className.baseVal ?? e.className ? "." : "")
      + String(e.className.baseVal ?? e.className).split(" ")[0]);
  done({
    pictures: Array.from(document.images).filter(i => !i.naturalWidth).map(i => i.src),
    scrollWidth: document.documentElement.scrollWidth,
    wide: Array.from(new Set(wide)).slice(0, 5),
    mathErrors: document.querySelectorAll("mjx-merror").length,
    elsewhere: performance.getEntriesByType("resource").map(e => e.name)
      .filter(name => !name.startsWith(location.origin) && !name.startsWith("data:")),
  });
});
"""


def browser_missing():
    """Why there is no browser to look with; None if there is one."""
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "selenium is not installed"
    return None


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *told):
        pass


@contextlib.contextmanager
def served(folder):
    """Serve a folder on this machine; gives its address."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def chromium():
    """A headless browser that keeps to itself, with a profile of its own."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for flag in (
            "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run",
            "disable-dev-shm-usage", "disable-background-networking", "disable-component-update",
            "disable-sync", "hide-scrollbars", f"user-data-dir={profile}",
        ):  # fmt: skip
            options.add_argument(f"--{flag}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
        try:
            driver.set_page_load_timeout(SECONDS)
            driver.set_script_timeout(SECONDS)
            yield driver
        finally:
            driver.quit()


def set_width(driver, width, height):
    """Give pages a window of this size; a headless window itself is never as narrow as a phone."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def look(driver, address, width):
    """Complaints about a page as the browser shows it in a window of this width."""
    driver.get(address)
    seen = driver.execute_async_script(LOOK, width)
    complaints = [f"script: {entry['message']}" for entry in driver.get_log("browser")
                  if entry["level"] == "SEVERE"]  # fmt: skip
    complaints += [f"picture not shown: {source}" for source in seen["pictures"]]
    complaints += [f"fetched from elsewhere: {source}" for source in seen["elsewhere"]]
    if seen["mathErrors"]:
        complaints.append(f"{seen['mathErrors']} formulas that MathJax does not understand")
    if seen["scrollWidth"] > width:  # a phone's innerWidth would grow with it
        listed = ", ".join(seen["wide"])
        complaints.append(f"{seen['scrollWidth']} wide in a window of {width}: {listed}")
    return complaints


def search(driver, site, word):
    """Complaints about the search for a word."""
    from selenium.common.exceptions import TimeoutException
    from selenium.webdriver.support.ui import WebDriverWait

    driver.get(f"{site}search.html?q={word}")
    try:
        WebDriverWait(driver, SEARCH_SECONDS).until(
            lambda d: d.execute_script("return document.querySelector('#search-results li a')")
        )
    except TimeoutException:
        return [f"the search for {word!r} finds nothing"]
    return []


def check_at_width(folder, site, device, word, screenshots):
    """Complaints about all pages, and about the search, at one width."""
    complaints = []
    width, height = WIDTHS[device]
    with chromium() as driver:
        set_width(driver, width, height)
        for path in pages_of(folder):
            name = path.relative_to(folder).as_posix()
            complaints += [f"{name} ({device}): {c}" for c in look(driver, site + name, width)]
            if screenshots is not None:
                picture = f"{name.replace('/', '+').removesuffix('.html')}.{device}.png"
                driver.save_screenshot(str(screenshots / picture))
        if (folder / "search.html").exists():
            complaints += [f"search ({device}): {c}" for c in search(driver, site, word)]
    return complaints


def check_in_browser(folder, word=SEARCHED, screenshots=None):
    """Complaints about a built site, at each width by a browser of its own at the same time."""
    with served(folder) as site, ThreadPoolExecutor(len(WIDTHS)) as pool:
        looks = [pool.submit(check_at_width, folder, site, device, word, screenshots)
                 for device in WIDTHS]  # fmt: skip
        return [complaint for look in looks for complaint in look.result()]


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="the built site")
    parser.add_argument("--browser", action="store_true", help="open every page in Chromium")
    parser.add_argument("--screenshots", type=Path, metavar="FOLDER")
    arguments = parser.parse_args(argv)
    folder = arguments.folder.resolve()
    if not pages_of(folder):
        raise SystemExit(f"check_site.py: there are no pages in {folder}")
    complaints = check_files(folder)
    if arguments.browser and (reason := browser_missing()):
        print(f"WARNING: nnjit: no page was opened in a browser: {reason}")
    elif arguments.browser:
        if arguments.screenshots:
            arguments.screenshots.mkdir(parents=True, exist_ok=True)
        complaints += check_in_browser(folder, screenshots=arguments.screenshots)
    print("\n".join(complaints) or f"{len(pages_of(folder))} pages, no complaint")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
