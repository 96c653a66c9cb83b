#include "store/database.h"

#include <sys/statfs.h>

#include <array>
#include <cerrno>
#include <string>

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Statement.h>
#include <SQLiteCpp/Transaction.h>
#include <fmt/format.h>
#include <sqlite3.h>

#include "core/base/error.h"
#include "store/sqlite_error.h"

namespace mestre {
namespace {

constexpr int kApplicationId = 0x4D737472;  // "Mstr", as in schema.sql
constexpr int kBusyMilliseconds = 10'000;

// kMigrations[n - 1] is the SQL that turns a store of version n into one of version n + 1.
constexpr std::array<std::string_view, kSchemaVersion - 1> kMigrations = {};

int pragma(SQLite::Database& connection, const char* name) {
  return connection.execAndGet(fmt::format("PRAGMA {}", name)).getInt();
}

struct Identity {
  int application_id = 0;
  int version = 0;
  bool empty = false;  // it has no table

  /// Nothing was ever written to the file, or its creation was cut off.
  [[nodiscard]] bool is_fresh() const { return empty && application_id == 0 && version == 0; }
};

Identity identity_of(SQLite::Database& connection) {
  return {.application_id = pragma(connection, "application_id"),
          .version = pragma(connection, "user_version"),
          .empty = connection.execAndGet("SELECT count(*) FROM sqlite_schema").getInt() == 0};
}

void require_readable(const Identity& identity, const fs::path& path) {
  if (identity.application_id != kApplicationId)
    throw Error(ErrorCode::kBadInput, fmt::format("'{}' is a database, but not a store of Mestre", path.native()))
        .hint("name another file with --db, or move this one away");
  if (identity.version > kSchemaVersion)
    throw Error(ErrorCode::kNewerVersion, fmt::format("the store '{}' has schema version {}, this program knows {}",
                                                      path.native(), identity.version, kSchemaVersion))
        .hint("it was written by a later mestre and was not changed; use that version, or name another file with --db");
}

void require_local_file_system(const fs::path& folder) {
  struct statfs status {};
  if (::statfs(folder.c_str(), &status) != 0) throw system_error(errno, "look at the file system of", folder.native());
  const std::string_view kind = network_file_system(status.f_type);
  if (!kind.empty())
    throw Error(ErrorCode::kEnvironment,
                fmt::format("the store cannot be kept in '{}': it is on {}, where SQLite's write-ahead log fails",
                            folder.native(), kind))
        .hint("keep it on a local disk with --db, as --db ~/mestre.db; the workspace itself may stay where it is");
}

void require_no_folder(const fs::path& path) {
  if (fs::is_directory(path))
    throw Error(ErrorCode::kBadInput, fmt::format("the store '{}' is a folder", path.native()))
        .hint("expected a file, such as mestre.db in it");
}

// Until its version is known a file is not to be changed, not even by folding its log back into it.
void checkpoint_on_close(SQLite::Database& connection, bool enabled) {
  sqlite3_db_config(connection.getHandle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, enabled ? 0 : 1, nullptr);
}

void create_schema(SQLite::Database& connection) {
  SQLite::Transaction transaction(connection, SQLite::TransactionBehavior::IMMEDIATE);
  if (identity_of(connection).empty) connection.exec(std::string(schema_sql()));
  transaction.commit();
}

void migrate(SQLite::Database& connection) {
  SQLite::Transaction transaction(connection, SQLite::TransactionBehavior::IMMEDIATE);
  for (int version = pragma(connection, "user_version"); version < kSchemaVersion; ++version) {
    connection.exec(std::string(kMigrations.at(static_cast<std::size_t>(version - 1))));
    connection.exec(fmt::format("PRAGMA user_version = {}", version + 1));
  }
  transaction.commit();
}

std::unique_ptr<SQLite::Database> connect(const fs::path& path, int flags) {
  auto connection = std::make_unique<SQLite::Database>(path.native(), flags, kBusyMilliseconds);
  sqlite3_db_config(connection->getHandle(), SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, nullptr);
  return connection;
}

}  // namespace

Database::Database(fs::path path, std::unique_ptr<SQLite::Database> connection)
    : path_(std::move(path)), connection_(std::move(connection)) {}
Database::Database(Database&&) noexcept = default;
Database& Database::operator=(Database&&) noexcept = default;
Database::~Database() = default;

Database Database::open_for_writing(const fs::path& path) {
  require_no_folder(path);
  require_local_file_system(path.has_parent_path() ? path.parent_path() : fs::path("."));
  return guarded(path, [&] {
    auto connection = connect(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    checkpoint_on_close(*connection, false);
    Identity identity = identity_of(*connection);
    const bool fresh = identity.is_fresh();
    if (!fresh) require_readable(identity, path);
    checkpoint_on_close(*connection, true);
    connection->exec("PRAGMA journal_mode = WAL");
    connection->exec("PRAGMA synchronous = FULL");
    connection->exec("PRAGMA foreign_keys = ON");
    connection->exec("PRAGMA cache_size = -65536");            // KiB
    connection->exec("PRAGMA wal_autocheckpoint = 4000");      // pages
    connection->exec("PRAGMA journal_size_limit = 67108864");  // bytes that the log keeps once it was folded back
    if (fresh) create_schema(*connection);
    if (pragma(*connection, "user_version") < kSchemaVersion) migrate(*connection);
    return Database(path, std::move(connection));
  });
}

Database Database::open_for_reading(const fs::path& path) {
  if (!fs::exists(path))
    throw Error(ErrorCode::kNotFound, fmt::format("there is no store '{}'", path.native()))
        .hint("'mestre run FILE' makes it; --workspace or --db name another place");
  require_no_folder(path);
  return guarded(path, [&] {
    auto connection = connect(path, SQLite::OPEN_READONLY);
    const Identity identity = identity_of(*connection);
    if (identity.is_fresh())
      throw Error(ErrorCode::kNotFound, fmt::format("the store '{}' has nothing in it yet", path.native()))
          .hint("its creation is going on, or was cut off; 'mestre run FILE' makes it");
    require_readable(identity, path);
    if (identity.version < kSchemaVersion)
      throw Error(ErrorCode::kEnvironment, fmt::format("the store '{}' has schema version {}, this program reads {}",
                                                       path.native(), identity.version, kSchemaVersion))
          .hint("'mestre run' brings it up to date");
    connection->exec("PRAGMA query_only = ON");
    connection->exec("PRAGMA cache_size = -65536");
    return Database(path, std::move(connection));
  });
}

std::string_view network_file_system(long magic) {
  switch (static_cast<unsigned long>(magic) & 0xFFFFFFFFUL) {
    case 0x6969:
      return "NFS";
    case 0x517B:
      return "SMB";
    case 0xFE534D42:
      return "SMB 2";
    case 0xFF534D42:
      return "CIFS";
    case 0x0BD00BD0:
      return "Lustre";
    case 0x47504653:
      return "GPFS";
    case 0x19830326:
      return "BeeGFS";
    case 0x00C36400:
      return "Ceph";
    case 0x5346414F:
      return "AFS";
    case 0xAAD7AAEA:
      return "PanFS";
    case 0x20030528:
      return "OrangeFS";
    default:
      return {};
  }
}

}  // namespace mestre
