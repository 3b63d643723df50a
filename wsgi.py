"""What a WSGI server loads: `granian --interface wsgi wsgi:app`."""

from hie.app import create_app
from hie.settings import Settings

app = create_app(Settings.from_env())
