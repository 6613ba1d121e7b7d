-- Points and tiers of every household, worked out straight from the receipt lines.
--
-- This shares nothing with the engine: no code, no tables, no rounding. All money is whole rupiah (BIGINT).
--
-- Tables:      transactions, products (views over the two parquet files)
-- Parameters:  $shift_weeks  whole weeks to move every purchase in time
--              $households   list of household ids, or NULL for all of them
--
-- Result:      one row for every household.

WITH
-- The end of the data (of the whole file, whichever households were asked for).
data_end AS (
    SELECT max(transaction_timestamp) - INTERVAL 5 HOURS + to_weeks($shift_weeks::INTEGER)
           - INTERVAL 7 HOURS AS last_instant
    FROM transactions
),

-- Lines. 1 cent = Rp150. A line with quantity 0 or value 0 earns nothing.
-- The timestamp is UTC; its UTC-5 clock time is taken over as the WIB clock time, then shifted.
-- A product that is not in products, or has no category there, has category ''.
lines AS (
    SELECT
        t.household_id,
        t.basket_id::VARCHAR AS basket,
        t.transaction_timestamp - INTERVAL 5 HOURS + to_weeks($shift_weeks::INTEGER) AS wib_local,
        t.quantity = 0 OR t.sales_value = 0 AS earns_nothing,
        CASE WHEN earns_nothing THEN 0 ELSE round(t.sales_value * 100)::BIGINT * 150 END AS net,
        coalesce(p.product_category, '') AS category
    FROM transactions AS t
    LEFT JOIN products AS p ON p.product_id = t.product_id
    WHERE $households::BIGINT[] IS NULL OR list_contains($households::BIGINT[], t.household_id)
),

-- Purchases (baskets). WIB is UTC+7 all year, so the instant (in UTC) is the local time less 7 hours.
purchases AS (
    SELECT
        household_id,
        basket,
        min(wib_local) AS wib_local,
        min(wib_local) - INTERVAL 7 HOURS AS instant,
        count(*)::BIGINT AS line_count,
        count(*) FILTER (WHERE earns_nothing)::BIGINT AS zero_line_count,
        sum(net)::BIGINT AS net,
        coalesce(sum(net) FILTER (WHERE category = 'SOFT DRINKS'), 0)::BIGINT AS soft_drinks_net
    FROM lines
    GROUP BY household_id, basket
),

-- The total order of a household's purchases: instant, then basket id as text.
ordered AS (
    SELECT *, row_number() OVER (PARTITION BY household_id ORDER BY instant, basket) AS place
    FROM purchases
),

-- After each purchase: the net of the purchases in [instant - 365 days, instant], up to and including
-- this one in the total order (one that shares the second but comes later is not in yet).
spent AS (
    SELECT now.household_id, now.place, sum(past.net)::BIGINT AS spent_365_days
    FROM ordered AS now
    JOIN ordered AS past
        ON past.household_id = now.household_id
        AND past.place <= now.place
        AND past.instant >= now.instant - INTERVAL 365 DAYS
    GROUP BY now.household_id, now.place
),

-- The tier that sum qualifies for: 1 bronze, 2 silver (Rp10 million), 3 gold (Rp30 million).
judged AS (
    SELECT
        o.*,
        CASE WHEN s.spent_365_days >= 30000000 THEN 3
             WHEN s.spent_365_days >= 10000000 THEN 2
             ELSE 1 END AS qualified
    FROM ordered AS o
    JOIN spent AS s ON s.household_id = o.household_id AND s.place = o.place
),

-- The tier held just before a purchase: the highest any earlier purchase qualified for.
-- (No tier is lost inside the data; tier_could_run_out at the end makes sure of that.)
held AS (
    SELECT
        *,
        coalesce(max(qualified) OVER earlier, 1) AS tier_before,
        net >= 1 AND coalesce(count(*) FILTER (WHERE net >= 1) OVER earlier, 0) = 0 AS is_first_visit
    FROM judged
    WINDOW earlier AS (
        PARTITION BY household_id ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
),

-- Points of each purchase, before the monthly cap on soft drinks.
--   purchase:     1 for each full Rp10,000 of net, times 1, 2 or 3 by the tier held
--   first visit:  25, once
--   soft drinks:  2 for each full Rp10,000 of soft drinks, from 16:00:00 to 18:59:59 WIB
earned AS (
    SELECT
        *,
        (net // 10000) * tier_before AS purchase_points,
        CASE WHEN is_first_visit THEN 25 ELSE 0 END AS first_purchase_points,
        CASE WHEN hour(wib_local) >= 16 AND hour(wib_local) < 19
             THEN 2 * (soft_drinks_net // 10000) ELSE 0 END AS soft_drinks_uncapped
    FROM held
),

-- Running total of soft drinks points in the household's calendar month (WIB, after the shift).
running AS (
    SELECT
        *,
        sum(soft_drinks_uncapped) OVER (
            PARTITION BY household_id, date_trunc('month', wib_local) ORDER BY place
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        )::BIGINT AS soft_drinks_so_far
    FROM earned
),

-- At most 60 of them in a month: the purchase that reaches the cap gets what is left.
capped AS (
    SELECT
        *,
        least(soft_drinks_so_far, 60) - least(soft_drinks_so_far - soft_drinks_uncapped, 60)
            AS soft_drinks_points
    FROM running
)

SELECT
    household_id,
    count(*)::BIGINT AS purchases,
    sum(line_count)::BIGINT AS lines,
    sum(zero_line_count)::BIGINT AS zero_lines,
    10::BIGINT AS welcome,                                  -- once, on joining before the first purchase
    sum(first_purchase_points)::BIGINT AS first_purchase,
    sum(purchase_points)::BIGINT AS purchase,
    sum(soft_drinks_points)::BIGINT AS soft_drinks,
    -- The tier after the last purchase.
    CASE max(qualified) WHEN 3 THEN 'gold' WHEN 2 THEN 'silver' ELSE 'bronze' END AS tier,
    -- A tier lasts 12 months, never less than 365 days. Could the earliest one run out before the data ends?
    coalesce(
        min(instant) FILTER (WHERE qualified > 1) + INTERVAL 365 DAYS <= (SELECT last_instant FROM data_end),
        false
    ) AS tier_could_run_out
FROM capped
GROUP BY household_id
ORDER BY household_id
