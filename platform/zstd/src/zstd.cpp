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

using Compressor = std::unique_ptr<ZSTD_CCtx, FreeCompressor>;
using Decompressor = std::unique_ptr<ZSTD_DCtx, FreeDecompressor>;

Compressor make_compressor(int level)
{
    Compressor context(ZSTD_createCCtx());
    if (!context) {
        throw Error(ErrorCode::io, "cannot compress: out of memory");
    }
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
    return context;
}

std::string compress_with(ZSTD_CCtx* context, std::string_view bytes)
{
    std::string frame(ZSTD_compressBound(bytes.size()), '\0');
    const auto size =
        ZSTD_compress2(context, frame.data(), frame.size(), bytes.data(), bytes.size());
    if (ZSTD_isError(size) != 0) {
        throw Error(ErrorCode::io, fmt::format("cannot compress: {}", ZSTD_getErrorName(size)));
    }
    frame.resize(size);
    return frame;
}

std::string decompress_with(ZSTD_DCtx* context, std::string_view frame, std::uint64_t max_bytes)
{
    const auto size = ZSTD_getFrameContentSize(frame.data(), frame.size());
    if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN) {
        throw Error(ErrorCode::corrupt, "not compressed data with a known size");
    }
    if (size > max_bytes) {
        throw Error(ErrorCode::unsupported,
                    fmt::format("unpacks to more than {}", human_size(max_bytes)));
    }
    std::string bytes(size, '\0');
    const auto got =
        ZSTD_decompressDCtx(context, bytes.data(), bytes.size(), frame.data(), frame.size());
    if (ZSTD_isError(got) != 0 || got != size) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("damaged compressed data: {}",
                                ZSTD_isError(got) != 0 ? ZSTD_getErrorName(got) : "too short"));
    }
    return bytes;
}

Decompressor make_decompressor()
{
    Decompressor context(ZSTD_createDCtx());
    if (!context) {
        throw Error(ErrorCode::io, "cannot decompress: out of memory");
    }
    return context;
}

} // namespace

std::string compress(std::string_view bytes, int level)
{
    const auto context = make_compressor(level);
    return compress_with(context.get(), bytes);
}

std::string decompress(std::string_view frame, std::uint64_t max_bytes)
{
    const auto context = make_decompressor();
    return decompress_with(context.get(), frame, max_bytes);
}

std::string compress_against(std::string_view bytes, std::string_view old, int level)
{
    const auto context = make_compressor(level);
    ZSTD_CCtx_refPrefix(context.get(), old.data(), old.size());
    return compress_with(context.get(), bytes);
}

std::string
decompress_against(std::string_view frame, std::string_view old, std::uint64_t max_bytes)
{
    const auto context = make_decompressor();
    ZSTD_DCtx_refPrefix(context.get(), old.data(), old.size());
    return decompress_with(context.get(), frame, max_bytes);
}

} // namespace stemma::zstd
