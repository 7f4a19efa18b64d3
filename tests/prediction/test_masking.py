"""What is masked in a prediction that decrypts values."""

from __future__ import annotations

from port_hook_cli.prediction.request import DecryptedPath, decrypted_secrets


def test_each_string_in_a_decrypted_document_is_a_separate_secret() -> None:
    document = '{"login": {"password": "in an object"}, "keys": ["in a list", ["deeper"], 1, null]}'
    paths = [DecryptedPath(path="a", plaintext=document), DecryptedPath(path="b", plaintext="no JSON")]
    assert [*decrypted_secrets(paths)] == [document, "in an object", "in a list", "deeper", "no JSON"]
