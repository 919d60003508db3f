"""s3:// through s3fs, against moto's server on this machine."""

from __future__ import annotations

import warnings

import pytest

from pictures import drawn, encoded
from sightline.errors import FetchError, NotFoundError
from sightline.sources import Arrival, arrive


@pytest.fixture(scope="module")
def bucket():
    pytest.importorskip("s3fs")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # moto's own, while it is imported
        server_module = pytest.importorskip("moto.server")
    server = server_module.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    patch = pytest.MonkeyPatch()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_CONFIG_FILE": "/nothing",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        patch.setenv(name, value)
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()  # another test's server may be remembered, which is gone
    files = s3fs.S3FileSystem()
    files.mkdir("photos")
    for name in ("cat/a.jpg", "cat/b.jpg", "dog/c.jpg"):
        files.pipe_file(f"photos/in/{name}", encoded(drawn(len(name))))
    yield "s3://photos/in"
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()
    patch.undo()


@pytest.mark.filterwarnings("ignore")  # botocore, aiohttp and moto warn about each other
def test_a_bucket_of_class_folders(bucket: str, options):
    found = [one for one in arrive(bucket, options) if isinstance(one, Arrival)]
    assert [(one.name, one.labels, one.facts.source) for one in found] == [
        ("cat/a.jpg", ("cat",), "s3://photos/in/cat/a.jpg"),
        ("cat/b.jpg", ("cat",), "s3://photos/in/cat/b.jpg"),
        ("dog/c.jpg", ("dog",), "s3://photos/in/dog/c.jpg"),
    ]
    assert found[0].data == encoded(drawn(len("cat/a.jpg")))
    with pytest.raises((NotFoundError, FetchError)):
        list(arrive("s3://nobodys/in", options))
