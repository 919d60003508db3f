"""Drawn road signs: a labelled set of pictures made from nothing, for the demo, the tests and later detection work."""

from __future__ import annotations

from sightline.data.roadsigns.faces import CLASSES as CLASSES
from sightline.data.roadsigns.folders import draw_road_signs as draw_road_signs
from sightline.data.roadsigns.picture import Drawn as Drawn
from sightline.data.roadsigns.picture import draw_scene as draw_scene
from sightline.data.roadsigns.picture import draw_sign as draw_sign
from sightline.data.roadsigns.scenes import draw_scenes as draw_scenes
