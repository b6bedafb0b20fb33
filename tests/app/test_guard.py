"""Who is let in."""

from __future__ import annotations


def test_our_own_page_is_served(client):
    answer = client.get("/")
    assert answer.status_code == 200 and "sparring-token" in answer.text


def test_a_stranger_is_not(stranger):
    assert stranger.get("/").status_code == 403
