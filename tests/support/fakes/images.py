"""The made-up image hosts: images.unsplash.com and live.staticflickr.com."""

from __future__ import annotations

from fakes import flickr, pictures, unsplash
from fakes.messages import Reply, Request
from fakes.world import UNSPLASH, Shot, Site, World

PLACEHOLDER = "/pw/images/en-us/photo_unavailable_l.png"  # where Flickr sends who asks for what is gone
ELSEWHERE = "/elsewhere/"
WITHIN = "/moved"


class ImageHost:
    """Serves each photo under its path, and nothing else."""

    def __init__(self, world: World, site: Site) -> None:
        self.world, self.site = world, site
        self._by_path: dict[str, Shot] = {}

    def shot(self, request: Request) -> Shot | None:
        """The photo that a path names."""
        path = request.path.removeprefix(WITHIN)
        if path not in self._by_path:
            self._index()
        return self._by_path.get(path)

    def item(self, request: Request) -> str:
        """The id of the photo, without the site's name."""
        shot = self.shot(request)
        return shot.id if shot else f"unknown {request.path}"

    def answer(self, request: Request) -> Reply:
        """The picture, made smaller where Unsplash's size parameters ask for it; a placeholder for what is gone."""
        if request.path == PLACEHOLDER:
            return Reply(200, pictures.placeholder(), "image/png")
        if request.path.startswith(ELSEWHERE):
            return Reply(200, b"<html><title>router</title></html>", "text/html")
        shot = self.shot(request)
        if shot is None:
            return Reply(404, b"<html>not here</html>", "text/html")
        if shot.photo_id in self.world.gone:
            if self.site == UNSPLASH:
                return Reply(404, b"Not Found", "text/plain")
            return Reply(302, headers={"Location": PLACEHOLDER})
        data = bytes_of(shot)
        if self.site == UNSPLASH and (request.query.get("w") or request.query.get("h")):
            width, height = (int(request.query[name]) if name in request.query else None for name in ("w", "h"))
            data = pictures.resized(data, width, height)
        return Reply(200, data, "image/jpeg", {"ETag": f'"{shot.picture}"'})

    def _index(self) -> None:
        for shot in self.world.shots.values():
            if shot.site != self.site:
                continue
            if self.site == UNSPLASH:
                self._by_path[unsplash.image_path(shot)] = shot
            else:
                self._by_path |= {flickr.image_path(shot, size): shot for size in flickr.sizes(shot)}


def bytes_of(shot: Shot) -> bytes:
    """The photo's bytes at full size."""
    return pictures.jpeg(shot.picture, *shot.shape, turned=shot.turned)
