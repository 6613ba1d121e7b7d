"""The cases, point by point. Importing this registers them all."""

from loyalty_conformance.cases import corrections as corrections
from loyalty_conformance.cases import earning as earning
from loyalty_conformance.cases import invariants as invariants
from loyalty_conformance.cases import lots as lots
from loyalty_conformance.cases import telling as telling
