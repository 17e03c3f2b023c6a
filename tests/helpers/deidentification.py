"""Headers that are full of what must not get out."""

from datetime import date

from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset

MARKER = "ZTRACEABLE7"
MARKED_UID = "1.2.424242.7"
BIRTH = date(1931, 7, 13)
VALUES = dict.fromkeys(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"), MARKER)
VALUES |= {"UI": MARKED_UID, "DA": f"{BIRTH:%Y%m%d}"}
# An image is none without its own values of these.
CODES = {"SpecificCharacterSet", "SOPClassUID", "Modality", "PhotometricInterpretation"}
PRIVATE_GROUP = 0x0099


def mark(dataset: Dataset) -> None:
    """Mark every text, UID and date of the dictionary, private texts, and an item of each sequence.

    The items hold texts, public and private, and an item of their own.
    """
    deeper, item = Dataset(), Dataset()
    for part in (deeper, item):
        part.PatientName = part.LUTExplanation = part.CodeMeaning = MARKER
        part.ReferencedSOPInstanceUID = MARKED_UID
        part.private_block(PRIVATE_GROUP, MARKER, create=True).add_new(1, "UT", MARKER)
    item.OtherPatientIDsSequence = [deeper]
    for tag, (vr, *_, keyword) in DicomDictionary.items():
        # Groups 0 and 2 belong to the file itself.
        if not keyword or keyword in CODES or tag >> 16 in (0x0000, 0x0002, 0xFFFE):
            continue
        if vr in VALUES:
            dataset.add_new(tag, vr, VALUES[vr])
        elif vr == "SQ":
            dataset.add_new(tag, vr, [item])
    block = dataset.private_block(PRIVATE_GROUP, MARKER, create=True)
    block.add_new(1, "LO", MARKER)
    block.add_new(2, "SQ", [item])
