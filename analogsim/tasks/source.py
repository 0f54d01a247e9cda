"""What is known of a data set as its authors give it: files, checksums, where they are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Download:
    """What a server gives.

    Attributes:
        url: its address.
        size: bytes.
        digest: published checksum, `md5:...` or `sha256:...`.
    """

    url: str
    size: int
    digest: str


@dataclass(frozen=True)
class File:
    """A file of a data set.

    Attributes:
        name: within the set's folder, unpacked.
        size: bytes, unpacked; None: not known.
        digest: of the unpacked file, `md5:...` or `sha256:...`; None: none is published.
        download: where the file can be had, packed as the set's are; None: in an archive, or nowhere.
        instead: a file that may stand in its place.
    """

    name: str
    size: int | None = None
    digest: str | None = None
    download: Download | None = None
    instead: File | None = None


@dataclass(frozen=True)
class Source:
    """A data set as its authors give it.

    Attributes:
        name: in scenarios, and of its folder.
        title: what people call it.
        contents: what it holds.
        licence, citation: of the data.
        home: page of the set; None: it comes with a package, or is made.
        layout: which files lie where, for somebody who puts them there by hand.
        files: that must be there.
        packed: ending of packed files, which may also lie there unpacked.
        inner: folder that the archive unpacks to.
        archive: of the whole set; None: files come one by one, or not at all.
    """

    name: str
    title: str
    contents: str
    licence: str
    citation: str
    home: str | None = None
    layout: str = ""
    files: tuple[File, ...] = ()
    packed: str = ""
    inner: str | None = None
    archive: Download | None = None

    @property
    def fetched(self) -> bool:
        """Whether all of it can be downloaded and verified."""
        return self.archive is not None or (bool(self.files) and all(file.download for file in self.files))

    @property
    def download_size(self) -> int | None:
        """Bytes to download; None where nothing can be fetched."""
        if self.archive is not None:
            return self.archive.size
        return sum(file.download.size for file in self.files if file.download) if self.fetched else None
