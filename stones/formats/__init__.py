"""Formats: values to stored bytes and back.

codec               encodes and decodes values, by one generation of the metadata
request             how the opener of a store wants values written, and what it trusts
metadata            the formats that a store lists; the format byte
generation          changes with each change of the metadata
unfinished          the mark of an unfinished copy, which no version opens
format_writer       how the values of one format are written and read
rules               which keys have another format than the rest
layout              the number of the layout of the metadata
listed_formats      checks the list of formats of a store
compression         zstd, and training of dictionaries
dictionaries        the dictionaries of a store
encryption          AES-GCM, sessions, numbers that no two values share
encryption_keys     where keys come from: bytes, functions, files, the environment
optional_packages   imports zstandard and cryptography when they are needed
checksums           the first byte of a value, and its CRC-32
serializers         the registry of serializers; pickle and noop
json_serializer     JSON, and its notation for other types
json_tags           what each tag of JSON takes
msgpack_serializer  MessagePack
cbor_serializer     CBOR
plain_values        plain values of JSON and MessagePack, decoded faster
messages            how error messages show a value
any_digits          ints of any number of digits, as text
typed_json          JSON as a person types it
tags                the types for which JSON, CBOR or MessagePack has no form
registered_types    types of users, and the types that stones ships
shipped_types       paths, addresses, fractions, numpy
stones03            the encodings of stones 0.3
stones03_codec      encodes and decodes values of a stones 0.3 database
"""
