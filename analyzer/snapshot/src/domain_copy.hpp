#pragma once

#include <string>
#include <vector>

namespace stemma::analyzer {

/// What a copy of a VM is called, and the files it has of its own.
struct CopyNames {
    std::string name;
    std::string uuid;
    std::string target;  ///< of the disk that is replaced, "vda"
    std::string disk;    ///< a qcow2 file
    std::string console; ///< for a serial port that is written to a file
};

struct DomainCopy {
    std::string xml;
    std::vector<std::string> left_out; ///< what two VMs cannot share: "disk vdb (/srv/data.qcow2)"
};

/// The definition of a VM beside the one whose definition is given: hardware addresses, sockets and
/// variables of firmware are made anew by libvirt; marks of whoever manages the other one are not
/// taken over.
/// throws  corrupt: no domain's XML
DomainCopy copy_domain(const std::string& domain_xml, const CopyNames& names);

} // namespace stemma::analyzer
