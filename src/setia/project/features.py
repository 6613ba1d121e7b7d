"""The features that are installed. Removing a folder and its line here removes the feature."""

from setia.insights.feature import FEATURE as INSIGHTS
from setia.intake.feature import FEATURE as INTAKE
from setia.kit import feature
from setia.proof.feature import FEATURE as PROOF
from setia.referrals.feature import FEATURE as REFERRALS
from setia.rewards.feature import FEATURE as REWARDS
from setia.tiers.feature import FEATURE as TIERS

FEATURES = (INTAKE, TIERS, REWARDS, REFERRALS, INSIGHTS, PROOF)

feature.install(FEATURES)
