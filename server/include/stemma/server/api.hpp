#pragma once

#include "stemma/core/clock.hpp"
#include "stemma/core/log.hpp"
#include "stemma/http/server.hpp"

#include <memory>
#include <string>

/// The lineage over HTTP. Reads only; the answers are those of `stemma VERB --json`.
///
/// | GET                          | parameters                  | answer |
/// |------------------------------|-----------------------------|----------------------------------|
/// | /                            |                             | the page | | /api/v1/where,
/// /what, /select| q… and the filters          | stemma.where/1, what/1, select/1 | | /api/v1/why
/// | from, to, all               | stemma.why/1                     | | /api/v1/log | q… and the
/// filters          | stemma.log/1                     | | /api/v1/outdated             | package,
/// to                 | stemma.outdated/1                | | /api/v1/releases             | |
/// stemma.releases/1                | | /api/v1/status               | | stemma.status/1 |
///
/// Filters: to, as_of, known_at, since, until, state, limit (1,000 unless told, 100,000 at most).
/// q is a selector or a set expression; several are one set; files (@F, -) are refused.
/// Errors: {"schema":"stemma.error/1","code","message","hint"} with 400, 403, 404, 405, 413 or 500.
namespace stemma::server {

class Api {
public:
    /// store_url  opened for reading at the first question
    /// local_only answer only requests that name this machine in Host: a page from elsewhere whose
    ///            name was made to point here gets nothing
    Api(std::string store_url, bool local_only, const Clock& clock, Log& log);
    ~Api();
    Api(const Api&) = delete;
    Api& operator=(const Api&) = delete;

    /// Callable from several threads at once; never throws for what a request says.
    http::Response handle(const http::Request& request);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace stemma::server
