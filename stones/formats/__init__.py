"""Formats: values to stored bytes and back.

metadata            which formats a store lists; the format byte
codec               encodes and decodes by one generation of the metadata
checksums           the first byte and the CRC-32
serializers         the registry of serializers; pickle and noop
json_serializer     JSON, and its notation for what JSON lacks
msgpack_serializer  msgpack
cbor_serializer     CBOR
tags                the types that these have no form for
stones03            the encodings of stones 0.3
"""
