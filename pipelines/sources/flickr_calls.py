"""Calls of the Flickr API, and what its failures mean: they come with HTTP 200 and a code.

The library `flickrapi` words and reads the two calls that it serves well (it cannot page through a search); what it
sends goes through our `Api`, so that quota, back-off and the keeping of keys are the same for all.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

from manifests.errors import InputError, SetupError
from pipelines.sources.base import UnavailableError
from pipelines.web.api import Api, RefusalError, Trouble
from pipelines.web.fields import mapping, sequence, text
from pipelines.web.keys import FLICKR_KEY

_PASSING = {"10", "105", "106"}  # the service is down, in whole or in part
_SORRY = re.compile("currently unavailable|not currently available", re.IGNORECASE)  # told under several codes
_KEY = {*map(str, range(96, 101))}
_OURS = {"95", "111", "112", "114", "115", "116"}  # the way we ask is wrong
_NOT_FOUND = "1"  # of photos.getInfo: deleted, or public no more


class NoError(InputError):
    """Flickr says no to one call."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} (code {code})")
        self.code = code


def judge(data: Any) -> Trouble | None:
    """What is passingly wrong with a reply, for `Api`."""
    if not isinstance(data, dict) or "stat" not in data:
        return Trouble("the reply is not what the API sends", 200)
    said = text(data.get("message")) or ""
    if data["stat"] != "ok" and (str(data.get("code")) in _PASSING or _SORRY.search(said)):
        return Trouble(said or "the service is unavailable", 200)
    return None


class Calls:
    """The calls we make. Each raises UnavailableError (later), NoError (never), SetupError (mend the set-up)."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def search(self, form: Mapping[str, str]) -> dict[str, Any]:
        """The `photos` of one page of flickr.photos.search."""
        data = mapping(self._post({"method": "flickr.photos.search", **form}).data)
        if data.get("stat") != "ok":
            raise _refusal(data.get("code"), data.get("message"))
        photos = data.get("photos")
        if not isinstance(photos, dict) or not isinstance(photos.get("photo"), list):
            raise UnavailableError("Flickr's search replies without photos", 200)
        return photos

    def licenses(self) -> dict[str, tuple[str | None, str | None]]:
        """Name and address of each licence, by Flickr's number."""
        reply = self._by_library("photos.licenses.getInfo")
        rows = [mapping(row) for row in sequence(mapping(reply.get("licenses")).get("license"))]
        told = {str(row.get("id")): (text(row.get("name")), text(row.get("url"))) for row in rows}
        if not told:
            raise UnavailableError("Flickr's list of licences is empty", 200)
        return told

    def photo(self, source_id: str) -> dict[str, Any] | None:
        """What flickr.photos.getInfo tells of one photo; None where it is gone."""
        try:
            photo = self._by_library("photos.getInfo", photo_id=source_id).get("photo")
        except NoError as error:
            if error.code == _NOT_FOUND:
                return None
            raise
        if not isinstance(photo, dict):
            raise UnavailableError("Flickr's reply tells of no photo", 200)
        return photo

    def _post(self, form: Mapping[str, str]) -> Any:
        try:
            return self._api.post(form)
        except RefusalError as error:  # Flickr's own failures have HTTP 200: this is another server
            raise SetupError(f"{self._api.url} answers with HTTP {error.status}: is it the Flickr API?") from None

    def _by_library(self, method: str, **form: str) -> dict[str, Any]:
        from flickrapi import FlickrError

        try:
            return mapping(self._library.do_flickr_call(f"flickr.{method}", **form))
        except FlickrError as error:
            code, message = error.code, str(error)
        except (ValueError, KeyError) as error:  # a failure without a code, or not in UTF-8
            raise UnavailableError("Flickr's reply cannot be read", 200) from error
        raise _refusal(code, message)

    @functools.cached_property
    def _library(self) -> Any:
        """flickrapi, sending by our `Api`; what it knows of a key is nothing."""
        import flickrapi

        post = self._post

        class Through(flickrapi.FlickrAPI):  # type: ignore[misc]
            def _flickr_call(self, timeout: float | None = None, **form: Any) -> bytes:  # noqa: ARG002
                body: bytes = post({name: str(value) for name, value in form.items()}).body
                return body

        return Through("", "", store_token=False, format="parsed-json")


def _refusal(code: Any, message: Any) -> SetupError | NoError:
    """What a failure reply means."""
    code, message = str(code), (text(message) or "Flickr refuses")[:300]
    if code in _KEY:
        return SetupError(f"Flickr does not accept {FLICKR_KEY} ({message}): mend it")
    if code in _OURS:
        return SetupError(f"Flickr does not understand us ({message}, code {code}): is the toolkit up to date?")
    return NoError(code, message)
