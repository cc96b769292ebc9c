"""The packages that pages are drawn with, pinned: CSS frameworks, icon sets, fonts, photographs.

Everything is freely licensed; one framework and one icon set are held out: their pages are only measured.
"""

import subprocess
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Source:
    """One package of a registry ("npm" or "pypi"); `licence` is its SPDX expression."""

    registry: str
    name: str
    version: str
    licence: str

    @property
    def folder(self) -> str:
        """Name of the folder it is unpacked to."""
        return f"{self.name.lstrip('@').replace('/', '-')}-{self.version}"


def _npm(licence: str, *pins: str) -> tuple[Source, ...]:
    split = [pin.rsplit("@", 1) for pin in pins]
    return tuple(Source("npm", name, version, licence) for name, version in split)


FRAMEWORKS = (
    *_npm("MIT", "bootstrap@5.3.9", "bootstrap@4.6.2", "bootstrap@3.4.1", "bootswatch@5.3.8", "bulma@1.0.4"),
    *_npm("MIT", "@picocss/pico@2.1.1", "milligram@1.4.1", "foundation-sites@6.9.0", "materialize-css@1.0.0"),
    *_npm("MIT", "spectre.css@0.5.9", "fomantic-ui-css@2.9.4", "daisyui@4.12.24", "uikit@3.25.29"),
    *_npm("MIT", "98.css@0.1.21", "7.css@0.21.1", "water.css@2.1.1", "simpledotcss@2.3.7", "chota@0.9.2"),
    *_npm("MIT", "govuk-frontend@6.6.0", "antd@4.24.16", "element-plus@2.14.8", "mdui@1.0.2", "photonkit@0.1.2"),
    *_npm("MIT", "@tabler/core@1.6.1", "@primer/css@22.3.2"),
    *_npm("BSD-3-Clause", "purecss@3.1.0"),
    *_npm("Apache-2.0", "@blueprintjs/core@6.20.0"),
)
ICONS = (
    *_npm("MIT", "bootstrap-icons@1.13.2", "@tabler/icons@3.51.0", "ionicons@8.1.0", "heroicons@2.2.0"),
    *_npm("MIT", "@primer/octicons@19.42.0", "@fluentui/svg-icons@1.1.343", "@phosphor-icons/core@2.1.1"),
    *_npm("MIT", "feather-icons@4.29.2", "flag-icons@7.5.0"),
    *_npm("ISC", "lucide-static@1.62.0"),
    *_npm("Apache-2.0", "@material-design-icons/svg@0.14.15"),
    # Held out: measured with, never trained on.
    *_npm("Remix Icon License 1.0", "remixicon@4.9.1"),
    *_npm("MIT AND CC-BY-4.0", "@twemoji/svg@15.0.0"),
)
FONTS = (
    *_npm("OFL-1.1", "@fontsource/inter@5.3.0", "@fontsource/roboto@5.3.0", "@fontsource/open-sans@5.3.0"),
    *_npm("OFL-1.1", "@fontsource/lato@5.3.0", "@fontsource/noto-sans@5.3.0", "@fontsource/noto-serif@5.3.0"),
    *_npm("OFL-1.1", "@fontsource/fira-sans@5.3.0", "@fontsource/source-sans-3@5.3.1", "@fontsource/nunito@5.3.0"),
    *_npm("OFL-1.1", "@fontsource/cantarell@5.3.0", "@fontsource/poppins@5.3.0", "@fontsource/montserrat@5.3.0"),
    *_npm("OFL-1.1", "@fontsource/ibm-plex-sans@5.3.0", "@fontsource/jetbrains-mono@5.3.0"),
    *_npm("OFL-1.1", "@fontsource/noto-sans-jp@5.3.0", "@fontsource/noto-sans-sc@5.3.0"),
    *_npm("OFL-1.1", "@fontsource/noto-sans-kr@5.3.0", "@fontsource/noto-sans-arabic@5.3.0"),
    *_npm("OFL-1.1", "@fontsource/noto-sans-devanagari@5.3.0", "@fontsource/noto-sans-hebrew@5.3.0"),
    *_npm("OFL-1.1", "@fontsource/noto-sans-thai@5.3.0"),
    *_npm("UFL-1.0", "@fontsource/ubuntu@5.3.0"),
)
# Their sample photographs: public domain or CC0 (scikit-image), CC-BY (scikit-learn: china, flower).
PHOTOS = (
    Source("pypi", "scikit-image", "0.26.0", "BSD-3-Clause AND CC0-1.0"),
    Source("pypi", "scikit-learn", "1.9.1", "BSD-3-Clause AND CC-BY-2.0"),
)
ALL = (*FRAMEWORKS, *ICONS, *FONTS, *PHOTOS)


def named(name: str, version: str = "") -> Source:
    """The pinned package of this name (and of the version that starts so). Raises KeyError."""
    for source in ALL:
        if source.name == name and source.version.startswith(version):
            return source
    raise KeyError(f"no package {name} {version} is pinned")


def fetch(folder: Path, wanted: Sequence[Source] = ALL) -> None:
    """Download and unpack what is not in `folder` yet. Raises CalledProcessError, OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for source in wanted:
        target = folder / source.folder
        if target.is_dir():
            continue
        print(f"downloading {source.name} {source.version}", flush=True)
        scratch = folder / f".{source.folder}"
        scratch.mkdir(exist_ok=True)
        if source.registry == "npm":
            command = ["npm", "pack", "--silent", f"{source.name}@{source.version}"]
        else:
            command = ["pip", "download", "--no-deps", "--only-binary", ":all:", f"{source.name}=={source.version}"]
        subprocess.run(command, cwd=scratch, check=True, stdout=subprocess.DEVNULL)
        (archive,) = (path for path in scratch.iterdir() if path.is_file())
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                wheel.extractall(scratch)
        else:
            with tarfile.open(archive) as tar:
                tar.extractall(scratch, filter="data")
        archive.unlink()
        scratch.rename(target)
