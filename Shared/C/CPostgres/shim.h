#pragma once
#include <libpq-fe.h>

/* Character literals do not import as integers: the fields of an error (libpq 34.3.1). */
enum {
    CPOSTGRES_SQLSTATE = PG_DIAG_SQLSTATE,
    CPOSTGRES_MESSAGE = PG_DIAG_MESSAGE_PRIMARY,
    CPOSTGRES_DETAIL = PG_DIAG_MESSAGE_DETAIL,
    CPOSTGRES_CONSTRAINT = PG_DIAG_CONSTRAINT_NAME,
};
