"""Chest films from an Orthanc server, which anonymises each film on its way out.

The server anonymises by the basic profile of PS3.15 and answers with the anonymised film; it stores
no copy. Only the dates and descriptions that decide about a film are kept, and the descriptions go
when the film is written (`pipeline.dicom.attributes`).
"""

import logging
import os
from pathlib import Path

import pandas as pd
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from pipeline.cohort.pseudonyms import pseudonym, pseudonym_uid, read_key
from pipeline.cohort.rejection import reject
from pipeline.cohort.tables import read_table
from pipeline.dicom.attributes import IDENTIFYING, keep_needed
from pipeline.stage.errors import ImageError, InputError
from pipeline.stage.files import atomic_path, atomic_private_file, write_csv
from pipeline.stage.progress import progress
from pipeline.stage.rules import Rule
from pipeline.stage.wording import number_of

log = logging.getLogger(__name__)

USER, PASSWORD = "ORTHANC_USER", "ORTHANC_PASSWORD"
RETRIES = 5
BACKOFF = 0.5  # seconds before the second retry, doubled with each further one
TIMEOUT = (10, 120)  # seconds to connect, and between two bytes of an answer
BUSY = (429, 502, 503, 504)
PATIENT_COLUMNS = ["patient_id", "subject"]
FETCHED_COLUMNS = ["film", "subject", "rule", "reason"]
# By the basic profile they would go; ingest needs them.
KEPT_BY_THE_SERVER = [tag for tag in IDENTIFYING if not tag.endswith(("ID", "UID"))]


class Orthanc:
    """The part of Orthanc's REST API that fetches films.

    Credentials are those of ORTHANC_USER and ORTHANC_PASSWORD, else of netrc. Certificates are
    verified; REQUESTS_CA_BUNDLE names the file of a site's own authority.

    Parameters
    ----------
    url
        Address of the server.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._session = requests.Session()
        # Films are hardly smaller as gzip, and the server takes its time for it.
        self._session.headers["Accept-Encoding"] = "identity"
        if USER in os.environ:
            self._session.auth = (os.environ[USER], os.environ.get(PASSWORD, ""))
        # Any request may be repeated: none of them changes anything on the server.
        retries = Retry(
            total=RETRIES,
            backoff_factor=BACKOFF,
            status_forcelist=BUSY,
            allowed_methods=None,
            raise_on_status=False,
        )
        self._session.mount(self._url, HTTPAdapter(max_retries=retries))

    def find_films(self, query: dict[str, str]) -> list[dict[str, str]]:
        """Find films, in the order of their ids.

        Parameters
        ----------
        query
            What to look for by DICOM keyword, as in a C-FIND: ``*`` and ``?`` in texts, ``\\``
            between alternatives, ``-`` between the ends of a range of dates.

        Returns
        -------
        list of dict
            ``id`` of the server and ``sop_uid`` of each.

        Raises
        ------
        InputError
            If the server cannot be asked, or no film is found.
        """
        wanted = {"Level": "Instance", "Query": query, "Expand": True}
        answer = self._ask("POST", "/tools/find", wanted)
        if answer.status_code != requests.codes.ok:
            raise InputError(
                f"orthanc: {self._url} answers the query with status {answer.status_code}, "
                f"{_message(answer)}; correct archive.orthanc.url or archive.orthanc.query"
            )
        films = [
            {"id": found["ID"], "sop_uid": found["MainDicomTags"]["SOPInstanceUID"]}
            for found in answer.json()
        ]
        if not films:
            raise InputError(
                f"orthanc: no film on {self._url} matches archive.orthanc.query; widen it"
            )
        return sorted(films, key=lambda film: film["id"])

    def read_ids(self, film: str) -> tuple[str, str]:
        """PatientID and StudyInstanceUID of a film.

        Raises
        ------
        ImageError
            If the film is there no more.
        """
        study = self._ask_for_film("GET", film, "study").json()
        patient = study["PatientMainDicomTags"].get("PatientID", "").strip(" \0")
        return patient, study["MainDicomTags"]["StudyInstanceUID"]

    def anonymise(self, film: str, replacements: dict[str, str]) -> bytes:
        """The anonymised DICOM file of a film.

        Parameters
        ----------
        film
            Id of the server.
        replacements
            New values by DICOM keyword.

        Raises
        ------
        ImageError
            If the film is there no more or cannot be anonymised.
        """
        how = {"Keep": KEPT_BY_THE_SERVER, "Replace": replacements, "Force": True}
        return self._ask_for_film("POST", film, "anonymize", how).content

    def _ask_for_film(self, method: str, film: str, what: str, data=None) -> requests.Response:
        answer = self._ask(method, f"/instances/{film}/{what}", data)
        if answer.status_code == requests.codes.not_found:
            raise ImageError(
                Rule.NOT_FETCHED, "the film vanished from the server while its films were fetched"
            )
        if answer.status_code != requests.codes.ok:
            raise ImageError(
                Rule.NOT_FETCHED,
                f"the server cannot hand out the film: status {answer.status_code}",
            )
        return answer

    def _ask(self, method: str, path: str, data=None) -> requests.Response:
        try:
            answer = self._session.request(method, self._url + path, json=data, timeout=TIMEOUT)
        except requests.exceptions.SSLError as error:
            raise InputError(
                f"orthanc: the certificate of {self._url} cannot be verified; REQUESTS_CA_BUNDLE "
                "may name a file with the certificate of your site's authority"
            ) from error
        except requests.exceptions.RequestException as error:
            raise InputError(
                f"orthanc: {self._url} cannot be reached, or broke off, {RETRIES + 1} times "
                f"({type(error).__name__}); once it is there, the same command goes on where this "
                "one ended"
            ) from error
        if answer.status_code in (requests.codes.unauthorized, requests.codes.forbidden):
            raise InputError(
                f"orthanc: {self._url} refuses the user or the password; set {USER} and "
                f"{PASSWORD}, or write them into ~/.netrc"
            )
        return answer


def fetch_films(
    folder: Path,
    fetched: Path,
    *,
    url: str,
    query: dict[str, str],
    patients: Path,
    pseudonym_key: Path,
) -> None:
    """Fetch films, anonymised, into a folder; those that are there already are not fetched again.

    Parameters
    ----------
    folder
        Becomes a folder of DICOM files, ``{subject}/{film}.dcm``. Both names are keyed hashes, of
        the PatientID and of the SOPInstanceUID; PatientID in the files is the subject.
    fetched
        CSV to write: film, subject and, where it was not fetched, rule and reason.
    url, query
        See `Orthanc`.
    patients
        CSV of PatientID and subject, for the site only; made readable by its owner alone. Patients
        of earlier calls stay in it.
    pseudonym_key
        File of the secret key of the names; made if it does not exist.

    Raises
    ------
    InputError
        If the server cannot be reached, refuses the password or has no such film.
    """
    key = read_key(pseudonym_key)
    subjects = _read_patients(patients, key)
    server = Orthanc(url)
    films = server.find_films(query)
    rows = []
    try:
        with progress(total=len(films), desc="fetching films", unit="film") as bar:
            for film in films:
                rows.append(_fetch_film(server, film, folder, key, subjects))
                bar.update()
    finally:
        _write_patients(subjects, patients)
    table = pd.DataFrame(rows, columns=FETCHED_COLUMNS)
    again = table.duplicated(["subject", "film"])
    reject(table, again, Rule.COPY, "a copy: its SOPInstanceUID is that of another film")
    left_out = (table["rule"] != "").sum()
    log.info("%s found, %d left out", number_of(len(table), "film"), left_out)
    write_csv(table, fetched)


def read_fetched(fetched: Path) -> pd.DataFrame:
    """Table of `fetch_films`: source (path below the folder), subject, rule and reason of
    each film."""
    table = pd.read_csv(fetched, dtype=str, keep_default_na=False)
    table["source"] = table["subject"] + "/" + table["film"] + ".dcm"
    return table[["source", "subject", "rule", "reason"]]


def _fetch_film(
    server: Orthanc, film: dict[str, str], folder: Path, key: bytes, subjects: dict[str, str]
) -> dict[str, str]:
    """Fetch a film that is not there yet; its row of the table. Adds its patient to `subjects`."""
    name, subject = pseudonym(key, film["sop_uid"]), ""
    try:
        patient, study = server.read_ids(film["id"])
        if not patient:
            raise ImageError(Rule.NO_SUBJECT, "PatientID is missing")
        subject = subjects[patient] = pseudonym(key, patient)
        path = folder / subject / f"{name}.dcm"
        if not path.exists():
            replacements = {
                "PatientID": subject,
                "PatientName": subject,
                "StudyInstanceUID": pseudonym_uid(key, study),
                "SOPInstanceUID": pseudonym_uid(key, film["sop_uid"]),
            }
            _write_film(server.anonymise(film["id"], replacements), path, subject)
    except ImageError as error:
        return {"film": name, "subject": subject, **error.exclusion}
    return {"film": name, "subject": subject, "rule": "", "reason": ""}


def _write_film(content: bytes, path: Path, subject: str) -> None:
    try:
        film = keep_needed(content)
    except Exception as error:  # a malformed file can make pydicom raise nearly anything
        raise ImageError(
            Rule.NOT_FETCHED, "the server's answer is no DICOM file that can be read"
        ) from error
    if film.get("PatientID") != subject:
        raise ImageError(Rule.NOT_FETCHED, "the server's answer is not anonymised")
    with atomic_path(path) as temporary:
        film.save_as(temporary, enforce_file_format=True)


def _read_patients(path: Path, key: bytes) -> dict[str, str]:
    if not path.exists():
        return {}
    table = read_table(path, PATIENT_COLUMNS)
    subjects = {patient: pseudonym(key, patient) for patient in table["patient_id"]}
    if list(table["subject"]) != [subjects[patient] for patient in table["patient_id"]]:
        raise InputError(
            f"{path}: the subjects were named with another key; restore the file of "
            "labels.pseudonym_key, or remove this table and the films to fetch all anew"
        )
    return subjects


def _write_patients(subjects: dict[str, str], path: Path) -> None:
    table = pd.DataFrame(sorted(subjects.items()), columns=PATIENT_COLUMNS)
    with atomic_private_file(path) as file:
        table.to_csv(file, index=False)


def _message(answer: requests.Response) -> str:
    """What Orthanc says of an error of a query, which holds no patient data."""
    try:
        return str(answer.json()["Message"])
    except (ValueError, KeyError, TypeError):
        return "without a message of Orthanc"
