"""Which of Debian's fonts draw which script: Noto (OFL-1.1) to train with, other families held out."""

import random
from pathlib import Path

from tools.train_script.material import LOCALES

_ROOT = Path("/usr/share/fonts")
_NOTO = {
    "Latn": "Sans SansDisplay Serif SansMono",
    "Cyrl": "Sans SansDisplay Serif SansMono",
    "Grek": "Sans SansDisplay Serif SansMono",
    "Hebr": "SansHebrew SerifHebrew RashiHebrew",
    "Arab": "SansArabic KufiArabic NaskhArabic NastaliqUrdu",
    "Deva": "SansDevanagari SerifDevanagari",
    "Beng": "SansBengali SerifBengali",
    "Guru": "SansGurmukhi SerifGurmukhi",
    "Gujr": "SansGujarati SerifGujarati",
    "Orya": "SansOriya",
    "Taml": "SansTamil SerifTamil",
    "Telu": "SansTelugu SerifTelugu",
    "Knda": "SansKannada SerifKannada",
    "Mlym": "SansMalayalam SerifMalayalam",
    "Sinh": "SansSinhala SerifSinhala",
    "Thai": "SansThai SerifThai LoopedThai",
    "Laoo": "SansLao SerifLao LoopedLao",
    "Khmr": "SansKhmer SerifKhmer",
    "Mymr": "SansMyanmar SerifMyanmar",
    "Tibt": "SerifTibetan",
    "Ethi": "SansEthiopic SerifEthiopic",
    "Geor": "SansGeorgian SerifGeorgian",
    "Armn": "SansArmenian SerifArmenian",
    "Cher": "SansCherokee",
    "Zyyy": "Sans Serif SansMono SansSymbols SansSymbols2",
}
_CJK = "opentype/noto/Noto{}CJK-{}.ttc"
# The faces of a collection: Japanese, Korean, simplified, traditional, Hong Kong.
_CJK_FACE = {"Jpan": (0,), "Hang": (1,), "Hani": (2, 3, 4)}
_HELD_OUT = {
    "Latn": "liberation/LiberationSerif-Regular dejavu/DejaVuSans liberation/LiberationMono-Regular freefont/FreeSans",
    "Cyrl": "liberation/LiberationSerif-Regular dejavu/DejaVuSans liberation/LiberationMono-Regular freefont/FreeSans",
    "Grek": "liberation/LiberationSerif-Regular dejavu/DejaVuSans liberation/LiberationMono-Regular",
    "Hebr": "freefont/FreeSerif freefont/FreeMono dejavu/DejaVuSans",
    "Arab": "dejavu/DejaVuSans ../opentype/fonts-hosny-amiri/Amiri-Regular",
    "Deva": "lohit-devanagari/Lohit-Devanagari freefont/FreeSans",
    "Beng": "lohit-bengali/Lohit-Bengali",
    "Guru": "lohit-punjabi/Lohit-Gurmukhi",
    "Gujr": "lohit-gujarati/Lohit-Gujarati",
    "Orya": "lohit-oriya/Lohit-Odia",
    "Taml": "lohit-tamil/Lohit-Tamil",
    "Telu": "lohit-telugu/Lohit-Telugu",
    "Knda": "lohit-kannada/Lohit-Kannada",
    "Mlym": "lohit-malayalam/Lohit-Malayalam",
    "Sinh": "sinhala/lklug",
    "Thai": "tlwg/Loma tlwg/Norasi tlwg/Garuda",
    "Laoo": "lao/Phetsarath_OT dejavu/DejaVuSans",
    "Khmr": "khmeros/KhmerOS khmeros/KhmerOSsiemreap",
    "Mymr": "padauk/Padauk-Regular",
    "Ethi": "abyssinica/AbyssinicaSIL-Regular",
    "Geor": "dejavu/DejaVuSans dejavu/DejaVuSerif",
    "Armn": "dejavu/DejaVuSans dejavu/DejaVuSerif",
    "Hang": "nanum/NanumMyeongjo nanum/NanumGothic",
    "Hani": "wqy/wqy-zenhei.ttc",
    "Jpan": "../opentype/ipafont-gothic/ipag",
    "Zyyy": "dejavu/DejaVuSans",
}
# Debian's packages of these fonts, for whoever makes the data again.
PACKAGES = (
    "fonts-noto-core fonts-noto-mono fonts-noto-cjk fonts-liberation fonts-dejavu-core fonts-freefont-ttf "
    "fonts-hosny-amiri "
    "fonts-lohit-deva fonts-lohit-beng-bengali fonts-lohit-guru fonts-lohit-gujr fonts-lohit-orya fonts-lohit-taml "
    "fonts-lohit-telu fonts-lohit-knda fonts-lohit-mlym fonts-lklug-sinhala fonts-thai-tlwg-ttf fonts-lao "
    "fonts-khmeros fonts-sil-padauk fonts-sil-abyssinica fonts-nanum fonts-wqy-zenhei fonts-ipafont-gothic libfribidi0"
)


def font(script: str, chance: random.Random, *, held_out: bool = False) -> tuple[Path, int]:
    """A file and the number of a face in it; Tibetan and Cherokee have no family but Noto."""
    if held_out and script in _HELD_OUT:
        name = chance.choice(_HELD_OUT[script].split())
        return _ROOT / "truetype" / (name if name.endswith(".ttc") else f"{name}.ttf"), 0
    weight = chance.choice(("Regular", "Regular", "Bold"))
    if script in _CJK_FACE:
        return _ROOT / _CJK.format(chance.choice(("Sans", "Serif")), weight), chance.choice(_CJK_FACE[script])
    path = _ROOT / "truetype/noto" / f"Noto{chance.choice(_NOTO[script].split())}-{weight}.ttf"
    return (path if path.is_file() else path.with_name(path.name.replace("Bold", "Regular"))), 0


def missing() -> list[Path]:
    """Fonts that are named here and not installed."""
    held = [name if name.endswith(".ttc") else f"{name}.ttf" for names in _HELD_OUT.values() for name in names.split()]
    noto = [f"noto/Noto{name}-Regular.ttf" for names in _NOTO.values() for name in names.split()]
    paths = {*(_ROOT / "truetype" / name for name in (*held, *noto)), _ROOT / _CJK.format("Sans", "Regular")}
    return sorted(path for path in paths if not path.is_file())


assert {*_NOTO, *_CJK_FACE} == {*LOCALES, "Zyyy"}
