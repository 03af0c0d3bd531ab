"""Random expressions: every operator, cast and function of the warehouse that answers one way.

``FORMS`` lists the forms of each kind; ``{i}`` stands for an expression of kind ``i`` (the kinds
are those of ``random_values``), ``{=x}`` for a literal alone, where a function wants a constant.
"""

# ruff: noqa: E501 - tables of forms read best one list a line
from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence

from tests.spark.random_tree import Node, Script
from tests.spark.random_values import FAMILIES, TYPES, literal

FORMS: dict[str, str] = {
    # Numbers whose type follows from the operands.
    "n": """
        ({n} + {n}) ;; ({n} - {n}) ;; ({n} * {n}) ;; ({n} / {n}) ;; ({n} % {n}) ;; -({n}) ;; +({n})
        abs({n}) ;; negative({n}) ;; positive({n}) ;; pmod({n}, {n}) ;; mod({n}, {n})
        try_add({n}, {n}) ;; try_subtract({n}, {n}) ;; try_multiply({n}, {n}) ;; try_divide({n}, {n})
        try_mod({n}, {n}) ;; round({n}) ;; round({n}, {=small}) ;; bround({n}) ;; bround({n}, {=small})
        ceil({n}) ;; floor({n}) ;; ceiling({n}) ;; ceil({n}, {=small}) ;; floor({n}, {=small})
        ({w} & {w}) ;; ({w} | {w}) ;; ({w} ^ {w}) ;; ~({w}) ;; greatest({n}, {n}) ;; least({n}, {n}, {n})
        coalesce({n}, {n}) ;; nvl({n}, {n}) ;; ifnull({n}, {n}) ;; if({b}, {n}, {n}) ;; nullif({n}, {n})
        CASE WHEN {b} THEN {n} ELSE {n} END ;; CASE {n} WHEN {n} THEN {n} END ;; nullifzero({n})
        zeroifnull({n}) ;; nanvl({f}, {f}) ;; shiftleft({w}, {=small}) ;; shiftright({w}, {=small})
        shiftrightunsigned({i}, {=small}) ;; ({s} + {n}) ;; ({n} - {=num}) ;; array_max({ai})
        array_min({ai}) ;; element_at({ai}, {=small}) ;; {ai}[{=small}] ;; get({ai}, {=small})
        try_element_at({ai}, {=small}) ;; {k}['a'] ;; element_at({k}, {s}) ;; {r}.a
        aggregate({ai}, 0, (acc, x) -> acc + x) ;; reduce({ai}, 1, (acc, x) -> acc * x, acc -> acc - 1)
        aggregate({ai}, 0L, (acc, x) -> acc + coalesce(x, 7)) ;; nvl2({any}, {n}, {n})
        decode({i}, {i}, {n}, {n}) ;; ({i} << {=small}) ;; ({l} >> {=small})
    """,
    "y": "CAST({any} AS TINYINT) ;; tinyint({n}) ;; sign({v}) ;; TRY_CAST({s} AS TINYINT)",
    "h": "CAST({n} AS SMALLINT) ;; CAST({=num} AS SMALLINT) ;; smallint({n}) ;; TRY_CAST({n} AS SMALLINT)",
    "i": """
        length({s}) ;; char_length({s}) ;; character_length({s}) ;; len({s}) ;; octet_length({s})
        bit_length({s}) ;; length({x}) ;; octet_length({x}) ;; ascii({s}) ;; instr({s}, {s}) ;; locate({s}, {s})
        locate({s}, {s}, {=small}) ;; position({s}, {s}) ;; position({s} IN {s})
        levenshtein({s}, {s}) ;; levenshtein({s}, {s}, {=small})
        find_in_set({s}, {s}) ;; regexp_count({s}, {=re}) ;; regexp_instr({s}, {=re}) ;; json_array_length({js})
        size({ai}) ;; size({k}) ;; cardinality({as}) ;; array_size({ai}) ;; array_size({as})
        year({d}) ;; month({d}) ;; day({d}) ;; dayofmonth({t}) ;; dayofweek({d}) ;; weekday({d}) ;; dayofyear({d})
        weekofyear({d}) ;; quarter({t}) ;; hour({t}) ;; minute({t}) ;; hour({z}) ;; year({z}) ;; datediff({d}, {d})
        date_diff({t}, {d}) ;; extract({=part} FROM {d}) ;; extract({=part} FROM {t}) ;; extract({=part} FROM {z})
        date_part('{=part}', {t}) ;; datepart('{=part}', {d}) ;; extract(YEAR FROM {m}) ;; extract(MONTH FROM {m})
        extract(DAY FROM {v}) ;; extract(SECOND FROM {v}) ;; unix_date({d}) ;; bit_count({w}) ;; bit_get({w}, {=small})
        getbit({w}, {=small}) ;; sign({n}) ;; hash({any}) ;; hash({s}, {n}) ;; CAST({any} AS INT) ;; TRY_CAST({any} AS INT)
        CAST({=num} AS INT) ;; TRY_CAST({=num} AS INT) ;; int({f}) ;; width_bucket({f}, {f}, {f}, {=small})
        array_position({ai}, {i}) ;; array_position({as}, {s}) ;; len({x}) ;; second({t})
        try_variant_get({j}, '$.a', 'int') ;; variant_get({j}, {path}, 'int') ;; cardinality({k}) ;; day({t})
    """,
    "l": """
        ({w} div {w}) ;; (CAST({i} AS DECIMAL(12,2)) div {n}) ;; factorial({=small}) ;; crc32({x}) ;; xxhash64({any}) ;; xxhash64({s}, {n})
        unix_seconds({t}) ;; unix_millis({t}) ;; unix_micros({t}) ;; unix_timestamp({t}) ;; unix_timestamp({s}, {=fmt})
        to_unix_timestamp({t}) ;; to_unix_timestamp({s}, {=fmt}) ;; CAST({any} AS BIGINT) ;; bigint({n}) ;; timestampdiff({=du}, {t}, {t})
        date_diff({=du}, {d}, {t}) ;; datediff({=du}, {t}, {t}) ;; TRY_CAST({any} AS BIGINT) ;; CAST({=num} AS BIGINT) ;; ({v} div {v})
        array_position({ai}, {n})
    """,
    "e": """
        CAST({n} AS DECIMAL(10,2)) ;; CAST({=num} AS DECIMAL(5,2)) ;; TRY_CAST({any} AS DECIMAL(38,18)) ;; CAST({e} AS DECIMAL(38,0))
        ({e} + {e}) ;; ({e} - {e}) ;; ({e} * {e}) ;; ({e} / {e}) ;; ({e} % {e}) ;; ({e} * {w}) ;; ({e} / {w}) ;; ({w} - {e}) ;; ({w} % {e})
        round({e}, {=small}) ;; decimal({n}) ;; abs({e}) ;; CAST({=num} AS DECIMAL(38,18)) ;; CAST({f} AS DECIMAL(20,5))
        ceil({e}, {=small}) ;; floor({e}, {=small}) ;; bround({e}, {=small}) ;; try_divide({e}, {e}) ;; CAST({e} AS DECIMAL(3,1))
    """,
    "g": "CAST({w} AS FLOAT) ;; float({w}) ;; CAST({=num} AS FLOAT) ;; ({g} + {g}) ;; ({g} * {w})",
    "f": """
        CAST({n} AS DOUBLE) ;; CAST({=num} AS DOUBLE) ;; TRY_CAST({any} AS DOUBLE) ;; sqrt({n}) ;; exp({n}) ;; ln({n}) ;; log({n}) ;; log({n}, {n})
        log10({n}) ;; log2({n}) ;; log1p({n}) ;; expm1({n}) ;; pow({n}, {n}) ;; power({n}, {n}) ;; cbrt({n}) ;; sin({f}) ;; cos({f}) ;; tan({f})
        asin({f}) ;; acos({f}) ;; atan({f}) ;; atan2({f}, {f}) ;; sinh({f}) ;; cosh({f}) ;; tanh({f}) ;; asinh({f}) ;; acosh({f}) ;; atanh({f})
        cot({f}) ;; sec({f}) ;; csc({f}) ;; degrees({n}) ;; radians({n}) ;; hypot({n}, {n}) ;; rint({n}) ;; signum({n}) ;; pi() ;; e() ;; double({s})
        months_between({t}, {d}) ;; months_between({d}, {d}, {=bool}) ;; ({f} / {n}) ;; ({f} % {f}) ;; ({f} * {f}) ;; ({f} - {f})
    """,
    "b": """
        ({n} = {n}) ;; ({n} <> {n}) ;; ({n} < {n}) ;; ({n} <= {n}) ;; ({n} > {n}) ;; ({n} >= {n}) ;; ({n} <=> {n}) ;; ({n} != {n})
        ({o} = {o}) ;; ({o} <=> {o}) ;; ({s} = {s}) ;; ({s} < {s}) ;; ({s} <=> {s}) ;; ({s} = {n}) ;; ({d} < {t}) ;; ({d} = {s}) ;; ({t} <= {z})
        ({v} < {v}) ;; ({m} = {m}) ;; ({ai} = {ai}) ;; ({as} < {as}) ;; ({r} = {r}) ;; ({x} > {x}) ;; ({b} < {b})
        ({b} AND {b}) ;; ({b} OR {b}) ;; NOT ({b}) ;; ({any} IS NULL) ;; ({any} IS NOT NULL) ;; ({b} IS TRUE) ;; ({b} IS NOT FALSE) ;; ({b} IS UNKNOWN)
        ({n} IN ({n}, {n}, NULL)) ;; ({n} NOT IN ({n}, {n})) ;; ({s} IN ({s}, {s})) ;; ({n} BETWEEN {n} AND {n}) ;; ({s} NOT BETWEEN {s} AND {s})
        ({d} BETWEEN {d} AND {d}) ;; ({s} LIKE {like}) ;; ({subject} LIKE {=like}) ;; ({subject} NOT LIKE {=like}) ;; ({subject} ILIKE {like}) ;; ({subject} LIKE {=slash} ESCAPE '/')
        ({subject} LIKE ALL ({=like}, {=like})) ;; ({subject} LIKE ANY ({=like}, {=like})) ;; ({s} NOT LIKE ALL ({=like}, {=like})) ;; ({s} RLIKE {=re})
        ({s} NOT RLIKE {=re}) ;; rlike({s}, {=re}) ;; regexp({s}, {=re}) ;; regexp_like({s}, {=re}) ;; like({s}, {like}) ;; ilike({s}, {=like})
        contains({s}, {s}) ;; startswith({s}, {s}) ;; endswith({s}, {s}) ;; contains({x}, {x}) ;; isnull({any}) ;; isnotnull({any}) ;; isnan({f})
        equal_null({n}, {n}) ;; array_contains({ai}, {i}) ;; array_contains({as}, {s}) ;; arrays_overlap({ai}, {ai}) ;; arrays_overlap({as}, {as})
        map_contains_key({k}, {s}) ;; exists({ai}, x -> x > 1) ;; exists({as}, x -> x LIKE 'a%') ;; forall({ai}, x -> x > 0) ;; is_variant_null({j})
        CAST({s} AS BOOLEAN) ;; CAST({n} AS BOOLEAN) ;; TRY_CAST({any} AS BOOLEAN) ;; boolean({s}) ;; luhn_check({s}) ;; coalesce({b}, {b})
        ({d} IS DISTINCT FROM {d}) ;; ({s} IS NOT DISTINCT FROM {s}) ;; if({b}, {b}, {b}) ;; CASE WHEN {b} THEN {b} END ;; ({z} = {s}) ;; {b} = {s}
        (({n}, {s}) = ({n}, {s})) ;; ({n} = ANY_VALUE) IS NULL ;; ({s} > {n}) ;; variant_get({j}, {path}, 'boolean') ;; ({r} < {r})
    """.replace("({n} = ANY_VALUE) IS NULL ;; ", ""),
    "s": """
        upper({s}) ;; lower({s}) ;; ucase({s}) ;; lcase({s}) ;; initcap({s}) ;; trim({s}) ;; ltrim({s}) ;; rtrim({s}) ;; btrim({s}) ;; btrim({s}, {s})
        trim(BOTH {s} FROM {s}) ;; trim(LEADING {s} FROM {s}) ;; trim(TRAILING {s} FROM {s}) ;; ltrim({s}, {s}) ;; rtrim({s}, {s})
        substring({s}, {small}) ;; substring({s}, {small}, {small}) ;; substr({s}, {small}, {small}) ;; substring({s} FROM {small} FOR {small})
        left({s}, {small}) ;; right({s}, {small}) ;; concat({s}, {s}) ;; concat({s}, {n}, {b}) ;; ({s} || {s}) ;; ({s} || {o}) ;; concat_ws({one}, {s}, {s})
        concat_ws({s}, {as}, {s}) ;; repeat({s}, {=small}) ;; reverse({s}) ;; replace({s}, {s}, {s}) ;; replace({s}, {s}) ;; translate({s}, {s}, {s})
        lpad({s}, {small}, {s}) ;; rpad({s}, {small}, {s}) ;; lpad({s}, {=small}) ;; rpad({s}, {=small}) ;; split_part({s}, {one}, {=small})
        substring_index({s}, {one}, {=small}) ;; overlay({s} PLACING {s} FROM {small}) ;; overlay({s}, {s}, {small}, {small}) ;; space({=small})
        regexp_replace({s}, {=re}, {s}) ;; regexp_replace({s}, {=re}, '<$1>') ;; regexp_extract({s}, {=re}, {=small}) ;; regexp_extract({s}, {=re}) ;; regexp_substr({s}, {=re})
        elt({=small}, {s}, {s}) ;; chr({w}) ;; char({i}) ;; soundex({s}) ;; hex({s}) ;; hex({l}) ;; hex({x}) ;; bin({l}) ;; conv({num}, 10, 16) ;; conv({s}, 16, {=small})
        md5({x}) ;; sha({x}) ;; sha1({s}) ;; sha2({x}, {=bits}) ;; base64({x}) ;; url_encode({s}) ;; url_decode({s}) ;; decode({x}, {=cs})
        format_string({=pf}, {w}) ;; format_string({=pff}, {f}) ;; printf({=pf}, {s}) ;; format_string('%s|%s', {s}, {n}) ;; format_number({n}, {=small}) ;; format_number({f}, '#,##0.0##')
        get_json_object({js}, {path}) ;; get_json_object({s}, {path}) ;; to_json({r}) ;; to_json({ai}) ;; to_json({k}) ;; to_json({j}) ;; to_json({ar}) ;; to_json(named_struct('v', {any}))
        schema_of_json({=js}) ;; schema_of_variant({j}) ;; typeof({any}) ;; date_format({t}, {=fmt}) ;; date_format({d}, {=fmt}) ;; date_format({z}, {=fmt})
        from_unixtime({h}) ;; from_unixtime({h}, {=fmt}) ;; dayname({d}) ;; monthname({d}) ;; CAST({any} AS STRING) ;; CAST({o} AS STRING) ;; string({n}) ;; CAST({f} AS STRING)
        CAST({g} AS STRING) ;; CAST({e} AS STRING) ;; CAST({v} AS STRING) ;; CAST({m} AS STRING) ;; CAST({ar} AS STRING) ;; TRY_CAST({x} AS STRING)
        coalesce({s}, {s}) ;; nvl({s}, {s}) ;; nullif({s}, {s}) ;; if({b}, {s}, {s}) ;; CASE {s} WHEN {s} THEN {s} ELSE {s} END ;; greatest({s}, {s}) ;; least({s}, {s}, {s})
        array_join({as}, {one}) ;; array_join({as}, {one}, {s}) ;; element_at({as}, {=small}) ;; {as}[{=small}] ;; array_max({as}) ;; array_min({as}) ;; {r}.b
        decode({s}, {s}, {s}, {s}) ;; decode({i}, {i}, {s}) ;; variant_get({j}, {path}, 'string') ;; {j}:a::STRING ;; {j}:b[0]::STRING ;; CAST({j} AS STRING)
        nvl2({any}, {s}, {s}) ;; mask({s}) ;; collation({s}) ;; {as}[0] ;; split({s}, {=re})[0] ;; to_json(parse_json({js})) ;; CAST(from_json({js}, {=sch}) AS STRING)
        aggregate({as}, '', (acc, x) -> concat(acc, coalesce(x, '-'))) ;; from_utc_timestamp({t}, {tz})::STRING ;; date_format(to_utc_timestamp({t}, {tz}), 'yyyy-MM-dd HH:mm')
    """.replace("mask({s}) ;; ", ""),
    "x": """
        CAST({s} AS BINARY) ;; binary({s}) ;; unhex({s}) ;; unbase64({s}) ;; to_binary({s}, {=bf}) ;; try_to_binary({s}, {=bf}) ;; encode({s}, {=cs}) ;; concat({x}, {x})
        substring({x}, {small}, {small}) ;; lpad({x}, {=small}, {x}) ;; rpad({x}, {=small}, {x}) ;; left({x}, {=small}) ;; reverse({s})::BINARY
        unbase64(base64({x})) ;; unhex(hex({x})) ;; CAST({w} AS BINARY) ;; overlay({x} PLACING {x} FROM {small}) ;; ({x} || {x}) ;; to_binary({s})
    """,
    "d": """
        date_add({d}, {small}) ;; date_add({d}, {y}) ;; date_sub({d}, {small}) ;; ({d} + {small}) ;; ({d} - {small}) ;; add_months({d}, {small}) ;; add_months({d}, {y}) ;; last_day({d}) ;; next_day({d}, {=dow})
        trunc({d}, {=tu}) ;; to_date({s}) ;; to_date({when}) ;; to_date({s}, {=fmt}) ;; try_to_date({s}, {=fmt}) ;; to_date(date_format({t}, {=fmt}), {=fmt}) ;; make_date(1999, {=small}, {=small}) ;; make_date(2024, {=small}, {i})
        date_from_unix_date({h}) ;; CAST({when} AS DATE) ;; TRY_CAST({s} AS DATE) ;; CAST({t} AS DATE) ;; CAST({z} AS DATE) ;; date({s}) ;; ({d} + {m}) ;; ({d} - {m}) ;; ({d} + INTERVAL 3 DAY) ;; greatest({d}, {d})
        coalesce({d}, {d}) ;; dateadd({d}, {=small}) ;; last_day({t}) ;; next_day({t}, {=dow}) ;; if({b}, {d}, {d}) ;; TRY_CAST({t} AS DATE)
    """,
    "t": """
        date_trunc({=tu}, {t}) ;; date_trunc({=tu}, {d}) ;; to_timestamp({when}) ;; to_timestamp({s}, {=fmt}) ;; try_to_timestamp({s}, {=fmt}) ;; to_timestamp(date_format({t}, {=fmt}), {=fmt})
        timestampadd({=du}, {small}, {t}) ;; dateadd({=du}, {small}, {d}) ;; date_add({=du}, {y}, {t}) ;; timestampadd({=du}, {small}, {z}) ;; from_utc_timestamp({t}, {tz}) ;; to_utc_timestamp({t}, {tz})
        make_timestamp(1999, {=small}, {=small}, {=small}, {=small}, {e}) ;; make_timestamp(2024, 2, 29, 23, {=small}, 59.999999) ;; make_timestamp(2024, 3, 10, 2, 30, 0, {tz}) ;; make_timestamp_ltz(2024, 11, 3, 1, 30, 1.5)
        timestamp_seconds({n}) ;; timestamp_millis({l}) ;; timestamp_micros({l}) ;; CAST({when} AS TIMESTAMP) ;; TRY_CAST({s} AS TIMESTAMP) ;; CAST({d} AS TIMESTAMP) ;; CAST({z} AS TIMESTAMP) ;; CAST({n} AS TIMESTAMP)
        timestamp({when}) ;; ({t} + {v}) ;; ({t} - {v}) ;; ({t} + {m}) ;; ({t} - {m}) ;; ({d} + {v}) ;; to_timestamp_ltz({when}) ;; greatest({t}, {t}) ;; least({t}, {d}) ;; coalesce({t}, {d})
    """,
    "z": """
        convert_timezone({tz}, {tz}, {z}) ;; convert_timezone({tz}, {z}) ;; CAST({when} AS TIMESTAMP_NTZ) ;; CAST({t} AS TIMESTAMP_NTZ) ;; CAST({d} AS TIMESTAMP_NTZ) ;; to_timestamp_ntz({when}) ;; ({z} + {v}) ;; ({z} - {m})
        make_timestamp_ntz(2024, {=small}, {=small}, 1, 2, {e}) ;; date_trunc({=tu}, {z}) ;; TRY_CAST({s} AS TIMESTAMP_NTZ)
    """,
    "m": """
        make_ym_interval({small}, {small}) ;; make_ym_interval({small}) ;; ({m} + {m}) ;; ({m} - {m}) ;; ({m} * {=small}) ;; ({m} / {e}) ;; -({m}) ;; abs({m}) ;; CAST('1-2' AS INTERVAL YEAR TO MONTH) ;; CAST({w} AS INTERVAL MONTH)
        CAST({m} AS INTERVAL YEAR) ;; greatest({m}, {m}) ;; CAST({s} AS INTERVAL YEAR TO MONTH)
    """,
    "v": """
        make_dt_interval({small}, {small}, {small}, {e}) ;; make_dt_interval({small}) ;; ({v} + {v}) ;; ({v} - {v}) ;; ({v} * {=small}) ;; ({v} / {e}) ;; -({v}) ;; abs({v}) ;; ({t} - {t}) ;; ({d} - {d}) ;; ({t} - {d}) ;; ({z} - {z})
        CAST('1 02:03:04.5' AS INTERVAL DAY TO SECOND) ;; CAST({w} AS INTERVAL HOUR) ;; CAST({v} AS INTERVAL DAY) ;; CAST({v} AS INTERVAL HOUR TO MINUTE) ;; ({t} - {z}) ;; CAST({s} AS INTERVAL DAY TO SECOND)
    """,
    "ai": """
        array({i}, {i}) ;; array_append({ai}, {i}) ;; array_prepend({ai}, {i}) ;; array_remove({ai}, {i}) ;; array_compact({ai}) ;; array_distinct({ai}) ;; array_union({ai}, {ai}) ;; array_intersect({ai}, {ai}) ;; array_except({ai}, {ai})
        array_sort({ai}) ;; sort_array({ai}) ;; sort_array({ai}, {=bool}) ;; slice({ai}, {=small}, {=small}) ;; flatten({aa}) ;; reverse({ai}) ;; array_repeat({i}, {=small}) ;; sequence({=small}, {=small}) ;; sequence({=small}, {=small}, {=small})
        array_insert({ai}, {=small}, {i}) ;; transform({ai}, x -> x + 1) ;; transform({ai}, (x, i) -> x * i) ;; filter({ai}, x -> x > 1) ;; filter({ai}, (x, i) -> i > 0) ;; zip_with({ai}, {ai}, (x, y) -> x + y) ;; map_values({k}) ;; concat({ai}, {ai})
        array_sort({ai}, (x, y) -> y - x) ;; from_json({js}, 'array<int>') ;; CAST({as} AS ARRAY<INT>) ;; ({ai} || {ai}) ;; coalesce({ai}, {ai}) ;; transform({as}, x -> length(x)) ;; {ar}.a
    """,
    "as": """
        array({s}, {s}) ;; split({s}, {=re}) ;; split({s}, {=re}, {=small}) ;; array_append({as}, {s}) ;; array_remove({as}, {s}) ;; array_distinct({as}) ;; array_union({as}, {as}) ;; array_except({as}, {as}) ;; array_intersect({as}, {as})
        array_sort({as}) ;; sort_array({as}, {=bool}) ;; reverse({as}) ;; map_keys({k}) ;; json_object_keys({js}) ;; transform({as}, x -> upper(x)) ;; filter({as}, x -> x IS NOT NULL) ;; regexp_extract_all({s}, {=re}, {=small}) ;; array_repeat({s}, {=small})
        slice({as}, {=small}, {=small}) ;; array_insert({as}, {=small}, {s}) ;; array_compact({as}) ;; array_prepend({as}, {s}) ;; CAST({ai} AS ARRAY<STRING>) ;; regexp_extract_all({s}, '(a)') ;; {ar}.b ;; array({s}, {n})
    """,
    "aa": "array({ai}, {ai}) ;; from_json({js}, 'array<array<int>>') ;; array_distinct({aa}) ;; transform({aa}, x -> reverse(x)) ;; arrays_zip({ai}, {as}) ;; array_sort({aa}) ;; map_entries({k})",
    "k": """
        map({s}, {i}, {s}, {i}) ;; map_concat({k}, {k}) ;; map_filter({k}, (k, v) -> v > 1) ;; transform_values({k}, (k, v) -> v + 1) ;; transform_keys({k}, (k, v) -> concat(k, 'z')) ;; map_from_arrays({as}, {ai}) ;; from_json({js}, 'map<string, int>')
        map_from_entries(array(struct({s}, {i}))) ;; str_to_map({=kv}) ;; str_to_map({=kv}, {=one}, ':') ;; coalesce({k}, {k}) ;; map_from_entries(map_entries({k}))
    """,
    "r": """
        from_json({js}, {=sch}) ;; from_json({s}, {=sch}) ;; named_struct('a', {n}, 'b', {any}) ;; struct({any}, {n}) ;; {ar}[0] ;; struct({i} AS a, {s} AS b) ;; CAST({r} AS STRUCT<a: STRING, b: STRING>) ;; named_struct('x', {r}, 'y', {ai})
        from_json(to_json({r}), 'a INT, b STRING') ;; element_at({ar}, {=small})
    """,
    "j": """
        parse_json({js}) ;; parse_json({s}) ;; try_parse_json({js}) ;; try_parse_json({s}) ;; {j}:a ;; {j}:b[1] ;; {j}['a'] ;; {j}[0] ;; variant_get({j}, {path}) ;; CAST({n} AS VARIANT) ;; CAST({s} AS VARIANT) ;; CAST({b} AS VARIANT) ;; to_variant_object({r}) ;; to_variant_object({ai}) ;; from_json({js}, 'VARIANT') ;; CAST({ai} AS VARIANT)
    """.replace("{j}['a'] ;; {j}[0] ;; ", ""),
    # What has a form for every type.
    "any": """
        CAST({any} AS {=to}) ;; TRY_CAST({any} AS {=to}) ;; CAST({s} AS {=to}) ;; TRY_CAST({s} AS {=to}) ;; ({any})::STRING ;; CAST({num} AS {=to}) ;; CAST({when} AS {=to}) ;; variant_get({j}, {path}, {=vt}) ;; try_variant_get({j}, {path}, {=vt}) ;; CAST({j} AS {=to}) ;; TRY_CAST({j} AS {=to})
        coalesce({any}, {any}) ;; if({b}, {any}, {any}) ;; nullif({o}, {o}) ;; array({any}, {any}) ;; struct({any}) ;; map({o}, {any}) ;; CASE WHEN {b} THEN {any} ELSE {any} END ;; from_json({js}, {=sch}) ;; assert_true({b})
        NULL ;; coalesce(NULL, {any}) ;; ({any} = {any}) ;; ({o} + {o}) ;; ({o} - {o}) ;; ({o} * {o}) ;; array_contains(array({o}), {o}) ;; reverse({o}) ;; size({a}) ;; upper({o}) ;; abs({o}) ;; length({o}) ;; ({o} IN ({o}, {o}))
    """,
}  # fmt: skip

_SLOT = re.compile(r"\{(=?\w+)\}")


def split_forms(text: str) -> tuple[str, ...]:
    """The forms of one kind."""
    return tuple(form.strip() for form in re.split(r";;|\n", text) if form.strip())


class Expressions:
    """Draws expressions.

    Args:
        rng: Decides everything.
        columns: What columns there are of each kind; they are drawn in the place of literals.
        table: The forms of each kind.
        constants: The literals of each kind, where not all of ``random_values`` will do.
    """

    def __init__(
        self,
        rng: random.Random,
        columns: Mapping[str, Sequence[str]] | None = None,
        table: Mapping[str, str] = FORMS,
        constants: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._rng = rng
        self._columns = columns or {}
        self._constants = constants
        self._forms = {kind: split_forms(text) for kind, text in table.items()}
        self._all = [(kind, form) for kind, found in self._forms.items() for form in found]

    def anything(self) -> Node:
        """An expression of any kind: each form is as likely as any other."""
        kind, form = self._rng.choice(self._all)
        return self.filled(kind, form, self._rng.choice((0, 0, 1, 1, 2)))

    def of(self, kind: str, depth: int) -> Node:
        """An expression of a kind with at most ``depth`` forms inside each other."""
        rng = self._rng
        if kind in FAMILIES and (kind not in self._forms or rng.random() < 0.6):
            return self.of(rng.choice(FAMILIES[kind]), depth)
        if depth <= 0 or kind not in self._forms or rng.random() < 0.4:
            return self._leaf(kind)
        return self.filled(kind, rng.choice(self._forms[kind]), depth - 1)

    def _leaf(self, kind: str) -> Node:
        rng = self._rng
        if kind in FAMILIES:
            kind = rng.choice(FAMILIES[kind])
        if self._columns.get(kind) and rng.random() < 0.75:
            return Node(kind, (rng.choice(self._columns[kind]),))
        if self._constants is not None:
            return Node(kind, (rng.choice(self._constants[kind]),))
        return literal(kind, rng)

    def filled(self, kind: str, form: str, depth: int) -> Node:
        """A form with expressions in its slots."""
        parts: list[str | Node] = []
        for index, text in enumerate(_SLOT.split(form)):
            if index % 2 == 0:
                parts.append(text)
            elif text.startswith("="):
                parts.append(literal(text[1:], self._rng))
            else:
                parts.append(self.of(text, depth))
        return Node(kind, tuple(parts))


def expression_script(rng: random.Random) -> Script:
    """One SELECT of one expression without a table."""
    value = Expressions(rng).anything()
    found = Node("any", (value,))
    return Script("expression", (Node("query", ("SELECT ", found, " AS r")),))


def kinds() -> tuple[str, ...]:
    """The kinds that have a type."""
    return tuple(TYPES)
