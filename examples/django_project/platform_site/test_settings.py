"""The settings of the tests.

``python manage.py test --settings=platform_site.test_settings``
"""

import os

os.environ["DJANGO_SECRET_KEY"] = "a made-up key, for tests alone"
os.environ["PORT_CLIENT_ID"] = "id"
os.environ["PORT_CLIENT_SECRET"] = "a made-up secret, for tests alone"
os.environ["DATABASE"] = ":memory:"

from platform_site.settings import *  # noqa: F403  # Django's way
from platform_site.settings import LOGGING

LOGGING["handlers"] = {"console": {"class": "logging.NullHandler"}}
