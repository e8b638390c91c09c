"""Settings of the Bugsink that the tests run: everything in one directory, events digested before the answer."""

import os

from bugsink.settings.default import *  # noqa: F403
from bugsink.settings.default import DATABASES

_directory = os.environ["BUGSINK_DIRECTORY"]

SECRET_KEY = "only-for-tests-on-loopback-0123456789-abcdefghijklmnopqrstuvwxyz"
DEBUG = False
ALLOWED_HOSTS = ["*"]
TIME_ZONE = "UTC"
DATABASES["default"]["NAME"] = os.path.join(_directory, "db.sqlite3")
DATABASES["snappea"]["NAME"] = os.path.join(_directory, "snappea.sqlite3")
# An event is in the database when its request has been answered: nothing to wait for.
SNAPPEA = {"TASK_ALWAYS_EAGER": True, "NUM_WORKERS": 1}
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
# Behind Envoy on plain HTTP.
SILENCED_SYSTEM_CHECKS = ["security.W004", "security.W008", "security.W012", "security.W016"]
BUGSINK = {
    "BASE_URL": os.environ.get("BUGSINK_URL", "http://127.0.0.1:9000"),
    "SITE_TITLE": "Bugsink behind the edge",
    "SINGLE_USER": True,
    "SINGLE_TEAM": True,
    "PHONEHOME": False,
    "INGEST_STORE_BASE_DIR": os.path.join(_directory, "ingest"),
}
