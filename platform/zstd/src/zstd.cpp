#include "stemma/zstd/zstd.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <zstd.h>

#include <memory>

namespace stemma::zstd {

namespace {

struct FreeCompressor {
    void operator()(ZSTD_CCtx* context) const noexcept { ZSTD_freeCCtx(context); }
};
struct FreeDecompressor {
    void operator()(ZSTD_DCtx* context) const noexcept { ZSTD_freeDCtx(context); }
};

} // namespace

std::string compress(std::string_view bytes, int level)
{
    const std::unique_ptr<ZSTD_CCtx, FreeCompressor> context(ZSTD_createCCtx());
    if (!context) {
        throw Error(ErrorCode::io, "cannot compress: out of memory");
    }
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
    std::string frame(ZSTD_compressBound(bytes.size()), '\0');
    const auto size =
        ZSTD_compress2(context.get(), frame.data(), frame.size(), bytes.data(), bytes.size());
    if (ZSTD_isError(size) != 0) {
        throw Error(ErrorCode::io, fmt::format("cannot compress: {}", ZSTD_getErrorName(size)));
    }
    frame.resize(size);
    return frame;
}

std::string decompress(std::string_view frame, std::uint64_t max_bytes)
{
    const auto size = ZSTD_getFrameContentSize(frame.data(), frame.size());
    if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN) {
        throw Error(ErrorCode::corrupt, "not compressed data with a known size");
    }
    if (size > max_bytes) {
        throw Error(ErrorCode::unsupported,
                    fmt::format("unpacks to more than {}", human_size(max_bytes)));
    }
    const std::unique_ptr<ZSTD_DCtx, FreeDecompressor> context(ZSTD_createDCtx());
    if (!context) {
        throw Error(ErrorCode::io, "cannot decompress: out of memory");
    }
    std::string bytes(size, '\0');
    const auto got =
        ZSTD_decompressDCtx(context.get(), bytes.data(), bytes.size(), frame.data(), frame.size());
    if (ZSTD_isError(got) != 0 || got != size) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("damaged compressed data: {}",
                                ZSTD_isError(got) != 0 ? ZSTD_getErrorName(got) : "too short"));
    }
    return bytes;
}

} // namespace stemma::zstd
