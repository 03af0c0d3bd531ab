"""Functions that Databricks documents and the local warehouse does not compute.

From https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-functions-builtin-alpha. They are
refused with ``UNSUPPORTED_BY_LOCAL_WAREHOUSE``; any other unknown name is ``UNRESOLVED_ROUTINE``.
"""

from __future__ import annotations

DOCUMENTED = frozenset(
    """
    aes_decrypt aes_encrypt ai_analyze_sentiment ai_classify ai_extract ai_fix_grammar ai_forecast
    ai_gen ai_generate_text ai_mask ai_parse_document ai_query ai_similarity ai_summarize
    ai_translate ai_top_drivers approx_top_k bitmap_and_agg bitmap_bit_position
    bitmap_bucket_number bitmap_construct_agg bitmap_count bitmap_or_agg cloud_files_state
    collations count_min_sketch current_metastore current_recipient current_time event_log
    extractansiintervaldays from_avro from_csv from_protobuf from_xml get_warehouse
    h3_boundaryasgeojson h3_boundaryaswkb h3_boundaryaswkt h3_centerasgeojson h3_centeraswkb
    h3_centeraswkt h3_compact h3_coverash3 h3_coverash3string h3_distance h3_h3tostring h3_hexring
    h3_ischildof h3_ispentagon h3_isvalid h3_kring h3_kringdistances h3_longlatash3
    h3_longlatash3string h3_maxchild h3_minchild h3_pointash3 h3_pointash3string
    h3_polyfillash3 h3_polyfillash3string h3_resolution h3_stringtoh3 h3_tessellateaswkb
    h3_toc h3_tochildren h3_toparent h3_try_validate h3_uncompact h3_validate histogram_numeric
    hll_sketch_agg hll_sketch_estimate hll_union hll_union_agg http_request inline_variant
    input_file_block_length input_file_block_start input_file_name is_account_group_member
    is_member java_method kll_merge_agg_bigint list_secrets make_interval make_time map_zip_with mask
    max_time min_time monotonically_increasing_id parse_url predict_probability
    randn randstr read_files read_kafka read_kinesis read_pubsub read_pulsar
    read_state_metadata read_statestore reflect remote_query schema_of_csv schema_of_json_agg
    schema_of_variant_agg schema_of_xml secret sentences session_window shuffle
    spark_partition_id sql_keywords st_area st_asbinary st_asewkb st_asgeojson st_astext st_aswkb
    st_aswkt st_buffer st_centroid st_contains st_distance st_dwithin st_intersects st_length st_point
    st_within st_x st_y table_changes theta_sketch_agg time_diff time_trunc to_avro to_binary to_char
    to_csv to_geography to_geometry to_number to_protobuf to_varchar to_xml try_aes_decrypt try_element
    try_mod_decimal try_reflect try_secret try_to_binary try_to_geography try_to_geometry
    try_to_number try_to_time try_url_decode try_validate_utf8 uniform user_defined validate_utf8
    vector_search window window_time xpath xpath_boolean xpath_double xpath_float xpath_int
    xpath_long xpath_number xpath_short xpath_string zstd_compress zstd_decompress try_zstd_decompress
    is_valid_utf8 make_valid_utf8 quote
    """.split()
)
