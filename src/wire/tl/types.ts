// Generated from schema.ts by scripts/generate-tl-types.mjs; do not edit. Types of the TL objects of the Cocoon protocol
// (WIRE.md section 21, WIRE-2026-04.md section 5). `@2025-12` marks the earlier layout of a constructor.

/** `tcp.ping` of `tcp.Packet`. */
export interface TcpPing {
  readonly _: 'tcp.ping';
  readonly id: bigint;
}

/** `tcp.pong` of `tcp.Packet`. */
export interface TcpPong {
  readonly _: 'tcp.pong';
  readonly id: bigint;
}

/** `tcp.packet` of `tcp.Packet`. */
export interface TcpPacket {
  readonly _: 'tcp.packet';
  readonly data: Uint8Array;
}

/** `tcp.queryAnswer` of `tcp.Packet`. */
export interface TcpQueryAnswer {
  readonly _: 'tcp.queryAnswer';
  readonly id: bigint;
  readonly data: Uint8Array;
}

/** `tcp.queryError` of `tcp.Packet`. */
export interface TcpQueryError {
  readonly _: 'tcp.queryError';
  readonly id: bigint;
  readonly code: number;
  readonly message: string;
}

/** `tcp.query` of `tcp.Packet`. */
export interface TcpQuery {
  readonly _: 'tcp.query';
  readonly id: bigint;
  readonly data: Uint8Array;
}

/** `tcp.connected` of `tcp.Packet`. */
export interface TcpConnected {
  readonly _: 'tcp.connected';
  readonly id: bigint;
}

/** `tcp.connect` of `tcp.Packet`. */
export interface TcpConnect {
  readonly _: 'tcp.connect';
  readonly id: bigint;
}

/** `ton.blockIdExt` of `ton.BlockIdExt`. */
export interface TonBlockIdExt {
  readonly _: 'ton.blockIdExt';
  readonly workchain: number;
  readonly shard: bigint;
  readonly seqno: number;
  readonly root_hash: Uint8Array;
  readonly file_hash: Uint8Array;
}

/** `test.answer` of `test.Answer`. */
export interface TestAnswer {
  readonly _: 'test.answer';
  readonly id: bigint;
}

/** `proxyRunner.config` of `proxyRunner.Config`. */
export interface ProxyRunnerConfig {
  readonly _: 'proxyRunner.config';
  readonly is_test: boolean;
  readonly is_testnet: boolean;
  readonly workers_rpc_port: number;
  readonly client_rpc_port: number;
  readonly http_port: number;
  readonly owner_address: string;
  readonly connect_to_proxy_via: string;
  readonly root_contract_address: string;
  /** 32 bytes. */
  readonly machine_specific_private_key: Uint8Array;
  /** 32 bytes. */
  readonly node_wallet_key: Uint8Array;
  readonly ton_config_filename: string;
  readonly db_path: string;
  readonly check_worker_hashes: boolean;
  /** 32 bytes. */
  readonly image_hash: Uint8Array;
  readonly http_access_hash: string;
}

/** `workerRunner.config` of `workerRunner.Config`. */
export interface WorkerRunnerConfig {
  readonly _: 'workerRunner.config';
  readonly is_test: boolean;
  readonly is_testnet: boolean;
  readonly http_port: number;
  readonly owner_address: string;
  readonly proxy_connections: number;
  readonly connect_to_proxy_via: string;
  readonly model_name: string;
  readonly coefficient: number;
  readonly root_contract_address: string;
  /** 32 bytes. */
  readonly node_wallet_key: Uint8Array;
  readonly forward_requests_to: string;
  readonly ton_config_filename: string;
  readonly check_proxy_hashes: boolean;
  readonly max_active_requests: number;
  /** 32 bytes. */
  readonly image_hash: Uint8Array;
  readonly http_access_hash: string;
  readonly change_model_script: string;
  readonly machine_description_json: string;
}

/** `clientRunner.config` of `clientRunner.Config`. */
export interface ClientRunnerConfig {
  readonly _: 'clientRunner.config';
  readonly is_test: boolean;
  readonly is_testnet: boolean;
  readonly http_port: number;
  readonly owner_address: string;
  readonly proxy_connections: number;
  readonly connect_to_proxy_via: string;
  readonly root_contract_address: string;
  /** 32 bytes. */
  readonly node_wallet_key: Uint8Array;
  readonly check_proxy_hashes: boolean;
  readonly secret_string: string;
  readonly ton_config_filename: string;
  readonly http_access_hash: string;
}

/** `keyStorageRunner.config` of `keyStorageRunner.Config`. */
export interface KeyStorageRunnerConfig {
  readonly _: 'keyStorageRunner.config';
  readonly is_test: boolean;
  readonly is_testnet: boolean;
  readonly add_default_key: boolean;
  readonly rpc_port: number;
  readonly http_port: number;
  readonly owner_address: string;
  readonly root_contract_address: string;
  /** 32 bytes. */
  readonly machine_specific_private_key: Uint8Array;
  /** 32 bytes. */
  readonly node_wallet_key: Uint8Array;
  readonly ton_config_filename: string;
  readonly db_path: string;
  readonly check_hashes: boolean;
  /** 32 bytes. */
  readonly image_hash: Uint8Array;
  readonly http_access_hash: string;
}

/** `rootConfig.registeredProxy` of `rootConfig.RegisteredProxy`. */
export interface RootConfigRegisteredProxy {
  readonly _: 'rootConfig.registeredProxy';
  readonly seqno: number;
  readonly address: string;
}

/** `rootConfig.registeredPublicKey` of `rootConfig.RegisteredPublicKey`. */
export interface RootConfigRegisteredPublicKey {
  readonly _: 'rootConfig.registeredPublicKey';
  /** 32 bytes. */
  readonly public_key: Uint8Array;
  readonly key_type: number;
  readonly expire_at: number;
}

/** `rootConfig.pseudo` of `rootConfig.Config`. */
export interface RootConfigPseudo {
  readonly _: 'rootConfig.pseudo';
  readonly proxy_hashes: readonly Uint8Array[];
  readonly worker_hashes: readonly Uint8Array[];
  readonly model_hashes: readonly Uint8Array[];
  readonly model_types: readonly string[];
  readonly registered_proxies: readonly RootConfigRegisteredProxy[];
  readonly price_per_token: number;
  readonly worker_fee_per_token: number;
  readonly last_proxy_seqno: number;
  readonly version: number;
  readonly params_version: number;
  readonly registered_public_keys: readonly RootConfigRegisteredPublicKey[];
  readonly key_manager_address: string;
  readonly proxy_sc_code: string;
  readonly worker_sc_code: string;
  readonly client_sc_code: string;
  readonly root_owner_address: string;
}

/** `rootConfig.configV5` of `rootConfig.Config`. */
export interface RootConfigConfigV5 {
  readonly _: 'rootConfig.configV5';
  readonly root_owner_address: string;
  readonly proxy_hashes: readonly Uint8Array[];
  readonly registered_proxies: readonly RootConfigRegisteredProxy[];
  readonly last_proxy_seqno: number;
  readonly worker_hashes: readonly Uint8Array[];
  readonly model_hashes: readonly Uint8Array[];
  readonly version: number;
  readonly struct_version: number;
  readonly params_version: number;
  readonly unique_id: number;
  readonly is_test: number;
  readonly price_per_token: bigint;
  readonly worker_fee_per_token: bigint;
  readonly prompt_tokens_price_multiplier: number;
  readonly cached_tokens_price_multiplier: number;
  readonly completion_tokens_price_multiplier: number;
  readonly reasoning_tokens_price_multiplier: number;
  readonly proxy_delay_before_close: number;
  readonly client_delay_before_close: number;
  readonly min_proxy_stake: bigint;
  readonly min_client_stake: bigint;
  readonly proxy_sc_code: string;
  readonly worker_sc_code: string;
  readonly client_sc_code: string;
}

/** `rootConfig.configV7` of `rootConfig.Config`. */
export interface RootConfigConfigV7 {
  readonly _: 'rootConfig.configV7';
  readonly root_owner_address: string;
  readonly proxy_hashes: readonly Uint8Array[];
  readonly registered_proxies: readonly RootConfigRegisteredProxy[];
  readonly last_proxy_seqno: number;
  readonly worker_hashes: readonly Uint8Array[];
  readonly model_hashes: readonly Uint8Array[];
  readonly version: number;
  readonly struct_version: number;
  readonly params_version: number;
  readonly unique_id: number;
  readonly is_test: number;
  readonly price_per_token: bigint;
  readonly worker_fee_per_token: bigint;
  readonly prompt_tokens_price_multiplier: number;
  readonly cached_tokens_price_multiplier: number;
  readonly completion_tokens_price_multiplier: number;
  readonly reasoning_tokens_price_multiplier: number;
  readonly proxy_delay_before_close: number;
  readonly client_delay_before_close: number;
  readonly min_proxy_stake: bigint;
  readonly min_client_stake: bigint;
  readonly registered_public_keys: readonly RootConfigRegisteredPublicKey[];
  /** 32 bytes. */
  readonly key_manager_public_key: Uint8Array;
  /** 32 bytes. */
  readonly key_manager_image_hash: Uint8Array;
  readonly key_manager_address: string;
  readonly verified_proxy_keys: readonly Uint8Array[];
  readonly verified_worker_keys: readonly Uint8Array[];
  readonly verified_key_manager_keys: readonly Uint8Array[];
  readonly proxy_sc_code: string;
  readonly worker_sc_code: string;
  readonly client_sc_code: string;
}

/** `proxyDb.clientInfo` of `proxyDb.ClientInfo`. */
export interface ProxyDbClientInfo {
  readonly _: 'proxyDb.clientInfo';
  readonly owner_address: string;
  readonly sc_address: string;
  readonly status: number;
  readonly balance: bigint;
  readonly sc_tokens_used: bigint;
  readonly tokens_used: bigint;
  /** 32 bytes. */
  readonly secret_hash: Uint8Array;
  readonly last_request_at: number;
}

/** `proxyDb.clientInfoV2` of `proxyDb.ClientInfo`. */
export interface ProxyDbClientInfoV2 {
  readonly _: 'proxyDb.clientInfoV2';
  readonly owner_address: string;
  readonly sc_address: string;
  readonly status: number;
  readonly balance: bigint;
  readonly stake: bigint;
  readonly sc_tokens_used: bigint;
  readonly tokens_used: bigint;
  /** 32 bytes. */
  readonly secret_hash: Uint8Array;
  readonly last_request_at: number;
}

/** `proxyDb.workerInfo` of `proxyDb.WorkerInfo`. */
export interface ProxyDbWorkerInfo {
  readonly _: 'proxyDb.workerInfo';
  readonly owner_address: string;
  readonly sc_address: string;
  readonly sc_tokens: bigint;
  readonly tokens: bigint;
  readonly last_request_at: number;
}

/** `proxyDb.pendingBlockchainSeqnoCommit` of `proxyDb.PendingBlockchainSeqnoCommit`. */
export interface ProxyDbPendingBlockchainSeqnoCommit {
  readonly _: 'proxyDb.pendingBlockchainSeqnoCommit';
  readonly seqno: number;
  /** 32 bytes. */
  readonly session_hash: Uint8Array;
}

/** `proxyDb.configEmpty` of `proxyDb.Config`. */
export interface ProxyDbConfigEmpty {
  readonly _: 'proxyDb.configEmpty';
}

/** `proxyDb.configV4` of `proxyDb.Config`. */
export interface ProxyDbConfigV4 {
  readonly _: 'proxyDb.configV4';
  readonly root_contract_address: string;
  readonly is_testnet: number;
  readonly root_contract_state: TlByType['rootConfig.Config'];
  readonly root_contract_state_block_ts: number;
  readonly sc_block_id: TonBlockIdExt;
  readonly last_seqno_committed_to_blockchain: number;
  readonly pending_blockchain_seqno_commits: readonly ProxyDbPendingBlockchainSeqnoCommit[];
}

/** `proxyDb.configV4Disabled` of `proxyDb.Config`. */
export interface ProxyDbConfigV4Disabled {
  readonly _: 'proxyDb.configV4Disabled';
  readonly root_contract_address: string;
  readonly is_testnet: number;
  readonly root_contract_state: TlByType['rootConfig.Config'];
  readonly root_contract_state_block_ts: number;
  readonly disabled_until_version: bigint;
}

/** `proxyDb.oldClient` of `proxyDb.OldClient`. */
export interface ProxyDbOldClient {
  readonly _: 'proxyDb.oldClient';
  readonly owner_address: string;
  readonly tokens: bigint;
  readonly next_client: string;
}

/** `proxyDb.oldWorker` of `proxyDb.OldWorker`. */
export interface ProxyDbOldWorker {
  readonly _: 'proxyDb.oldWorker';
  readonly owner_address: string;
  readonly tokens: bigint;
  readonly next_worker: string;
}

/** `proxyDb.oldInstance` of `proxyDb.OldInstance`. */
export interface ProxyDbOldInstance {
  readonly _: 'proxyDb.oldInstance';
  readonly contract_address: string;
  readonly closing_state: number;
  readonly close_at: number;
  readonly next_client: string;
  readonly next_worker: string;
  readonly root_contract_state: TlByType['rootConfig.Config'];
}

/** `keyManagerDb.configEmpty` of `keyManagerDb.Config`. */
export interface KeyManagerDbConfigEmpty {
  readonly _: 'keyManagerDb.configEmpty';
}

/** `keyManagerDb.configV1` of `keyManagerDb.Config`. */
export interface KeyManagerDbConfigV1 {
  readonly _: 'keyManagerDb.configV1';
  readonly root_contract_version: number;
}

/** `keyManagerDb.key` of `keyManagerDb.Key`. */
export interface KeyManagerDbKey {
  readonly _: 'keyManagerDb.key';
  /** 32 bytes. */
  readonly private_key: Uint8Array;
  readonly key_type: number;
  readonly valid_since_config_version: number;
  readonly valid_since_utime: number;
  readonly valid_until_utime: number;
}

/** `tokensUsed` of `TokensUsed`. */
export interface TokensUsed {
  readonly _: 'tokensUsed';
  readonly prompt_tokens_used: bigint;
  readonly cached_tokens_used: bigint;
  readonly completion_tokens_used: bigint;
  readonly reasoning_tokens_used: bigint;
  readonly total_tokens_used: bigint;
}

/** `worker.params` of `worker.Params`. */
export interface WorkerParams {
  readonly _: 'worker.params';
  readonly flags: number;
  readonly worker_owner_address: string;
  readonly model: string;
  readonly coefficient: number;
  /** Present when bit 0 of flags is set. */
  readonly is_test?: boolean;
  /** Present when bit 0 of flags is set. */
  readonly proxy_cnt?: number;
  /** Present when bit 0 of flags is set. */
  readonly max_active_requests?: number;
  /** Present when bit 1 of flags is set. */
  readonly min_proto_version?: number;
  /** Present when bit 1 of flags is set. */
  readonly max_proto_version?: number;
  /** Present when bit 2 of flags is set. */
  readonly machine_description_json?: string;
}

/** `proxy.params` of `proxy.Params`. */
export interface ProxyParams {
  readonly _: 'proxy.params';
  readonly flags: number;
  /** 32 bytes. */
  readonly proxy_public_key: Uint8Array;
  readonly proxy_owner_address: string;
  readonly proxy_sc_address: string;
  /** Present when bit 0 of flags is set. */
  readonly is_test?: boolean;
  /** Present when bit 1 of flags is set. */
  readonly proto_version?: number;
}

/** `client.params` of `client.Params`. */
export interface ClientParams {
  readonly _: 'client.params';
  readonly flags: number;
  readonly client_owner_address: string;
  /** Present when bit 0 of flags is set. */
  readonly is_test?: boolean;
  /** Present when bit 1 of flags is set. */
  readonly min_proto_version?: number;
  /** Present when bit 1 of flags is set. */
  readonly max_proto_version?: number;
}

/** `client.proxyConnectionAuthShort` of `client.ProxyConnectionAuth`. */
export interface ClientProxyConnectionAuthShort {
  readonly _: 'client.proxyConnectionAuthShort';
  /** 32 bytes. */
  readonly secret_hash: Uint8Array;
  readonly nonce: bigint;
}

/** `client.proxyConnectionAuthLong` of `client.ProxyConnectionAuth`. */
export interface ClientProxyConnectionAuthLong {
  readonly _: 'client.proxyConnectionAuthLong';
  readonly nonce: bigint;
}

/** `client.authorizationWithProxySuccess` of `client.AuthorizationWithProxy`. */
export interface ClientAuthorizationWithProxySuccess {
  readonly _: 'client.authorizationWithProxySuccess';
  readonly signed_payment: TlByType['proxy.SignedPayment'];
  readonly tokens_committed_to_db: bigint;
  readonly max_tokens: bigint;
}

/** `client.authorizationWithProxyFailed` of `client.AuthorizationWithProxy`. */
export interface ClientAuthorizationWithProxyFailed {
  readonly _: 'client.authorizationWithProxyFailed';
  readonly error_code: number;
  readonly error: string;
}

/** `client.connectedToProxy` of `client.ConnectedToProxy`. */
export interface ClientConnectedToProxy {
  readonly _: 'client.connectedToProxy';
  readonly params: ProxyParams;
  readonly client_sc_address: string;
  readonly auth: TlByType['client.ProxyConnectionAuth'];
  readonly signed_payment: TlByType['proxy.SignedPayment'];
}

/** `client.queryAnswer` of `client.QueryAnswer`. */
export interface ClientQueryAnswer {
  readonly _: 'client.queryAnswer';
  readonly answer: Uint8Array;
  readonly is_completed: boolean;
  /** 32 bytes. */
  readonly request_id: Uint8Array;
  readonly request_tokens_used: TokensUsed;
}

/** `client.queryAnswerError` of `client.QueryAnswer`. */
export interface ClientQueryAnswerError {
  readonly _: 'client.queryAnswerError';
  readonly error_code: number;
  readonly error: string;
  /** 32 bytes. */
  readonly request_id: Uint8Array;
  readonly request_tokens_used: TokensUsed;
}

/** `client.queryAnswerPart` of `client.QueryAnswerPart`. */
export interface ClientQueryAnswerPart {
  readonly _: 'client.queryAnswerPart';
  readonly answer: Uint8Array;
  readonly is_completed: boolean;
  /** 32 bytes. */
  readonly request_id: Uint8Array;
  readonly request_tokens_used: TokensUsed;
}

/** `client.queryAnswerPartError` of `client.QueryAnswerPart`. */
export interface ClientQueryAnswerPartError {
  readonly _: 'client.queryAnswerPartError';
  readonly error_code: number;
  readonly error: string;
  /** 32 bytes. */
  readonly request_id: Uint8Array;
  readonly request_tokens_used: TokensUsed;
}

/** `client.queryFinalInfo` of `client.QueryFinalInfo`. */
export interface ClientQueryFinalInfo {
  readonly _: 'client.queryFinalInfo';
  readonly flags: number;
  readonly tokens_used: TokensUsed;
  /** Present when bit 0 of flags is set. */
  readonly worker_debug?: string;
  /** Present when bit 0 of flags is set. */
  readonly proxy_debug?: string;
  /** Present when bit 1 of flags is set. */
  readonly proxy_start_time?: number;
  /** Present when bit 1 of flags is set. */
  readonly proxy_end_time?: number;
  /** Present when bit 1 of flags is set. */
  readonly worker_start_time?: number;
  /** Present when bit 1 of flags is set. */
  readonly worker_end_time?: number;
}

/** `client.queryAnswerEx` of `client.QueryAnswerEx`. */
export interface ClientQueryAnswerEx {
  readonly _: 'client.queryAnswerEx';
  /** 32 bytes. */
  readonly request_id: Uint8Array;
  readonly answer: Uint8Array;
  readonly flags: number;
  /** Present when bit 0 of flags is set. */
  readonly final_info?: ClientQueryFinalInfo;
}

/** `client.queryAnswerErrorEx` of `client.QueryAnswerEx`. */
export interface ClientQueryAnswerErrorEx {
  readonly _: 'client.queryAnswerErrorEx';
  /** 32 bytes. */
  readonly request_id: Uint8Array;
  readonly error_code: number;
  readonly error: string;
  readonly flags: number;
  /** Present when bit 0 of flags is set. */
  readonly final_info?: ClientQueryFinalInfo;
}

/** `client.queryAnswerPartEx` of `client.QueryAnswerEx`. */
export interface ClientQueryAnswerPartEx {
  readonly _: 'client.queryAnswerPartEx';
  /** 32 bytes. */
  readonly request_id: Uint8Array;
  readonly answer: Uint8Array;
  readonly flags: number;
  /** Present when bit 0 of flags is set. */
  readonly final_info?: ClientQueryFinalInfo;
}

/** `client.refund` of `client.Refund`. */
export interface ClientRefund {
  readonly _: 'client.refund';
  readonly data: Uint8Array;
}

/** `client.refundRejected` of `client.Refund`. */
export interface ClientRefundRejected {
  readonly _: 'client.refundRejected';
  readonly active_queries: bigint;
}

/** `client.workerType` of `client.WorkerType`. */
export interface ClientWorkerType {
  readonly _: 'client.workerType';
  readonly name: string;
  readonly active_workers: number;
  readonly coefficient_min: number;
  readonly coefficient_bucket50: number;
  readonly coefficient_max: number;
}

/** `client.workerTypes` of `client.WorkerTypes`. */
export interface ClientWorkerTypes {
  readonly _: 'client.workerTypes';
  readonly types: readonly ClientWorkerType[];
}

/** `client.workerInstanceV2` of `client.WorkerInstanceV2`. */
export interface ClientWorkerInstanceV2 {
  readonly _: 'client.workerInstanceV2';
  readonly flags: number;
  readonly coefficient: number;
  readonly active_requests: number;
  readonly max_active_requests: number;
}

/** `client.workerTypeV2` of `client.WorkerTypeV2`. */
export interface ClientWorkerTypeV2 {
  readonly _: 'client.workerTypeV2';
  readonly name: string;
  readonly workers: readonly ClientWorkerInstanceV2[];
}

/** `client.workerTypesV2` of `client.WorkerTypesV2`. */
export interface ClientWorkerTypesV2 {
  readonly _: 'client.workerTypesV2';
  readonly types: readonly ClientWorkerTypeV2[];
}

/** `client.paymentStatus` of `client.PaymentStatus`. */
export interface ClientPaymentStatus {
  readonly _: 'client.paymentStatus';
  readonly signed_payment: TlByType['proxy.SignedPayment'];
  readonly db_tokens: bigint;
  readonly max_tokens: bigint;
}

/** `proxy.clientRequestPayment` of `proxy.WorkerRequestPayment`. */
export interface ProxyClientRequestPayment {
  readonly _: 'proxy.clientRequestPayment';
  /** 32 bytes. */
  readonly request_id: Uint8Array;
  readonly signed_payment: TlByType['proxy.SignedPayment'];
  readonly db_tokens: bigint;
  readonly max_tokens: bigint;
  readonly request_tokens: bigint;
}

/** `proxy.signedPayment` of `proxy.SignedPayment`. */
export interface ProxySignedPayment {
  readonly _: 'proxy.signedPayment';
  readonly data: Uint8Array;
}

/** `proxy.signedPaymentEmpty` of `proxy.SignedPayment`. */
export interface ProxySignedPaymentEmpty {
  readonly _: 'proxy.signedPaymentEmpty';
}

/** `proxy.queryAnswer` of `proxy.QueryAnswer`. */
export interface ProxyQueryAnswer {
  readonly _: 'proxy.queryAnswer';
  readonly answer: Uint8Array;
  readonly is_completed: boolean;
  /** 32 bytes. */
  readonly request_id: Uint8Array;
  readonly tokens_used: TokensUsed;
}

/** `proxy.queryAnswerError` of `proxy.QueryAnswer`. */
export interface ProxyQueryAnswerError {
  readonly _: 'proxy.queryAnswerError';
  readonly error_code: number;
  readonly error: string;
  /** 32 bytes. */
  readonly request_id: Uint8Array;
  readonly tokens_used: TokensUsed;
}

/** `proxy.queryAnswerPart` of `proxy.QueryAnswerPart`. */
export interface ProxyQueryAnswerPart {
  readonly _: 'proxy.queryAnswerPart';
  readonly answer: Uint8Array;
  readonly is_completed: boolean;
  /** 32 bytes. */
  readonly request_id: Uint8Array;
  readonly tokens_used: TokensUsed;
}

/** `proxy.queryAnswerPartError` of `proxy.QueryAnswerPart`. */
export interface ProxyQueryAnswerPartError {
  readonly _: 'proxy.queryAnswerPartError';
  readonly error_code: number;
  readonly error: string;
  /** 32 bytes. */
  readonly request_id: Uint8Array;
  readonly tokens_used: TokensUsed;
}

/** `proxy.queryFinalInfo` of `proxy.QueryFinalInfo`. */
export interface ProxyQueryFinalInfo {
  readonly _: 'proxy.queryFinalInfo';
  readonly flags: number;
  readonly tokens_used: TokensUsed;
  /** Present when bit 0 of flags is set. */
  readonly worker_debug?: string;
  /** Present when bit 1 of flags is set. */
  readonly worker_start_time?: number;
  /** Present when bit 1 of flags is set. */
  readonly worker_end_time?: number;
}

/** `proxy.queryAnswerEx` of `proxy.QueryAnswerEx`. */
export interface ProxyQueryAnswerEx {
  readonly _: 'proxy.queryAnswerEx';
  /** 32 bytes. */
  readonly request_id: Uint8Array;
  readonly answer: Uint8Array;
  readonly flags: number;
  /** Present when bit 0 of flags is set. */
  readonly final_info?: ProxyQueryFinalInfo;
}

/** `proxy.queryAnswerErrorEx` of `proxy.QueryAnswerEx`. */
export interface ProxyQueryAnswerErrorEx {
  readonly _: 'proxy.queryAnswerErrorEx';
  /** 32 bytes. */
  readonly request_id: Uint8Array;
  readonly error_code: number;
  readonly error: string;
  readonly flags: number;
  /** Present when bit 0 of flags is set. */
  readonly final_info?: ProxyQueryFinalInfo;
}

/** `proxy.queryAnswerPartEx` of `proxy.QueryAnswerEx`. */
export interface ProxyQueryAnswerPartEx {
  readonly _: 'proxy.queryAnswerPartEx';
  /** 32 bytes. */
  readonly request_id: Uint8Array;
  readonly answer: Uint8Array;
  readonly flags: number;
  /** Present when bit 0 of flags is set. */
  readonly final_info?: ProxyQueryFinalInfo;
}

/** `proxy.workerRequestPayment` of `proxy.WorkerRequestPayment`. */
export interface ProxyWorkerRequestPayment {
  readonly _: 'proxy.workerRequestPayment';
  /** 32 bytes. */
  readonly request_id: Uint8Array;
  readonly signed_payment: TlByType['proxy.SignedPayment'];
  readonly db_tokens: bigint;
  readonly max_tokens: bigint;
  readonly request_tokens: bigint;
  readonly request_client_owner: string;
}

/** `worker.enabledDisabled` of `worker.EnabledDisabled`. */
export interface WorkerEnabledDisabled {
  readonly _: 'worker.enabledDisabled';
  readonly disabled: number;
}

/** `worker.newCoefficient` of `worker.NewCoefficient`. */
export interface WorkerNewCoefficient {
  readonly _: 'worker.newCoefficient';
  readonly new_coefficient: number;
}

/** `worker.connectedToProxy` of `worker.ConnectedToProxy`. */
export interface WorkerConnectedToProxy {
  readonly _: 'worker.connectedToProxy';
  readonly params: ProxyParams;
  readonly worker_sc_address: string;
}

/** `worker.compareBalanceWithProxyResult` of `worker.CompareBalanceWithProxyResult`. */
export interface WorkerCompareBalanceWithProxyResult {
  readonly _: 'worker.compareBalanceWithProxyResult';
  readonly signed_payment: TlByType['proxy.SignedPayment'];
  readonly tokens_committed_to_db: bigint;
  readonly max_tokens: bigint;
  readonly error_code: number;
}

/** `worker.extendedCompareBalanceWithProxyResult` of `worker.ExtendedCompareBalanceWithProxyResult`. */
export interface WorkerExtendedCompareBalanceWithProxyResult {
  readonly _: 'worker.extendedCompareBalanceWithProxyResult';
  readonly error_code: number;
}

/** `worker.proxyHandshakeCompleted` of `worker.HandshakeCompleted`. */
export interface WorkerProxyHandshakeCompleted {
  readonly _: 'worker.proxyHandshakeCompleted';
}

/** `worker.paymentStatus` of `worker.PaymentStatus`. */
export interface WorkerPaymentStatus {
  readonly _: 'worker.paymentStatus';
  readonly signed_payment: TlByType['proxy.SignedPayment'];
  readonly db_tokens: bigint;
  readonly max_tokens: bigint;
}

/** `worker.changedModel` of `worker.ChangedModel`. */
export interface WorkerChangedModel {
  readonly _: 'worker.changedModel';
}

/** `keyManager.privateKey` of `keyManager.PrivateKey`. */
export interface KeyManagerPrivateKey {
  readonly _: 'keyManager.privateKey';
  readonly valid_until_utime: number;
  /** 32 bytes. */
  readonly private_key: Uint8Array;
}

/** `keyManager.privateKeys` of `keyManager.PrivateKeys`. */
export interface KeyManagerPrivateKeys {
  readonly _: 'keyManager.privateKeys';
  readonly keys: readonly KeyManagerPrivateKey[];
}

/** `http.header` of `http.Header`. */
export interface HttpHeader {
  readonly _: 'http.header';
  readonly name: string;
  readonly value: string;
}

/** `http.response` of `http.Response`. */
export interface HttpResponse {
  readonly _: 'http.response';
  readonly http_version: string;
  readonly status_code: number;
  readonly reason: string;
  readonly headers: readonly HttpHeader[];
  readonly payload: Uint8Array;
}

/** `proxyRunner.config@2025-12` of `proxyRunner.Config`. */
export interface ProxyRunnerConfig202512 {
  readonly _: 'proxyRunner.config@2025-12';
  readonly is_test: boolean;
  readonly is_testnet: boolean;
  readonly workers_rpc_port: number;
  readonly client_rpc_port: number;
  readonly http_port: number;
  readonly owner_address: string;
  readonly root_contract_address: string;
  /** 32 bytes. */
  readonly machine_specific_private_key: Uint8Array;
  /** 32 bytes. */
  readonly node_wallet_key: Uint8Array;
  readonly ton_config_filename: string;
  readonly db_path: string;
  readonly check_worker_hashes: boolean;
  /** 32 bytes. */
  readonly image_hash: Uint8Array;
  readonly http_access_hash: string;
}

/** `workerRunner.config@2025-12` of `workerRunner.Config`. */
export interface WorkerRunnerConfig202512 {
  readonly _: 'workerRunner.config@2025-12';
  readonly is_test: boolean;
  readonly is_testnet: boolean;
  readonly http_port: number;
  readonly owner_address: string;
  readonly proxy_connections: number;
  readonly connect_to_proxy_via: string;
  readonly model_name: string;
  readonly coefficient: number;
  readonly root_contract_address: string;
  /** 32 bytes. */
  readonly node_wallet_key: Uint8Array;
  readonly forward_requests_to: string;
  readonly ton_config_filename: string;
  readonly check_proxy_hashes: boolean;
  readonly max_active_requests: number;
  /** 32 bytes. */
  readonly image_hash: Uint8Array;
  readonly http_access_hash: string;
}

/** `keyStorageRunner.config@2025-12` of `keyStorageRunner.Config`. */
export interface KeyStorageRunnerConfig202512 {
  readonly _: 'keyStorageRunner.config@2025-12';
  readonly is_test: boolean;
  readonly is_testnet: boolean;
  readonly rpc_port: number;
  readonly http_port: number;
  readonly root_contract_address: string;
  /** 32 bytes. */
  readonly machine_specific_private_key: Uint8Array;
  readonly ton_config_filename: string;
  readonly db_path: string;
  readonly check_hashes: boolean;
  /** 32 bytes. */
  readonly image_hash: Uint8Array;
  readonly http_access_hash: string;
}

/** `rootConfig.pseudo@2025-12` of `rootConfig.Config`. */
export interface RootConfigPseudo202512 {
  readonly _: 'rootConfig.pseudo@2025-12';
  readonly proxy_hashes: readonly Uint8Array[];
  readonly worker_hashes: readonly Uint8Array[];
  readonly model_hashes: readonly Uint8Array[];
  readonly model_types: readonly string[];
  readonly registered_proxies: readonly RootConfigRegisteredProxy[];
  readonly price_per_token: number;
  readonly worker_fee_per_token: number;
  readonly last_proxy_seqno: number;
  readonly version: number;
  readonly params_version: number;
  readonly proxy_sc_code: string;
  readonly worker_sc_code: string;
  readonly client_sc_code: string;
  readonly root_owner_address: string;
}

/** `keyManagerDb.key@2025-12` of `keyManagerDb.Key`. */
export interface KeyManagerDbKey202512 {
  readonly _: 'keyManagerDb.key@2025-12';
  /** 32 bytes. */
  readonly private_key: Uint8Array;
  readonly for_proxies: boolean;
  readonly for_workers: boolean;
  readonly valid_since_config_version: number;
  readonly valid_since_utime: number;
  readonly valid_until_utime: number;
}

/** `client.cancelQuery` of `client.CancelQuery`. */
export interface ClientCancelQuery {
  readonly _: 'client.cancelQuery';
  /** 32 bytes. */
  readonly request_id: Uint8Array;
}

/** `proxy.cancelQuery` of `proxy.CancelQuery`. */
export interface ProxyCancelQuery {
  readonly _: 'proxy.cancelQuery';
  /** 32 bytes. */
  readonly request_id: Uint8Array;
}

/** `attest.tdx` of `attest.Evidence`. */
export interface AttestTdx {
  readonly _: 'attest.tdx';
  readonly quote: Uint8Array;
  readonly gpus: Uint8Array;
}

/** `attest.sevSnp` of `attest.Evidence`. */
export interface AttestSevSnp {
  readonly _: 'attest.sevSnp';
  readonly report: Uint8Array;
  readonly vek: Uint8Array;
  readonly gpus: Uint8Array;
}

/** `attest.simulated` of `attest.Evidence`. */
export interface AttestSimulated {
  readonly _: 'attest.simulated';
  readonly evidence: Uint8Array;
  readonly gpus: Uint8Array;
}

/** `cocoon.choiceExplanation` of `cocoon.ChoiceExplanation`. */
export interface CocoonChoiceExplanation {
  readonly _: 'cocoon.choiceExplanation';
  readonly json: Uint8Array;
}

/** `cocoon.sealKey` of `cocoon.SealKey`. */
export interface CocoonSealKey {
  readonly _: 'cocoon.sealKey';
  readonly certificate: Uint8Array;
  readonly evidence: TlByType['attest.Evidence'];
  readonly record: Uint8Array;
  readonly signature: Uint8Array;
}

/** `cocoon.sealKeyAccepted` of `cocoon.SealKeyAccepted`. */
export interface CocoonSealKeyAccepted {
  readonly _: 'cocoon.sealKeyAccepted';
}

/** `cocoon.sealOffer` of `cocoon.SealOffer`. */
export interface CocoonSealOffer {
  readonly _: 'cocoon.sealOffer';
  readonly record: Uint8Array;
  readonly signature: Uint8Array;
  readonly coefficient: number;
  readonly running: number;
  readonly capacity: number;
}

/** `cocoon.sealOffers` of `cocoon.SealOffers`. */
export interface CocoonSealOffers {
  readonly _: 'cocoon.sealOffers';
  readonly offers: readonly CocoonSealOffer[];
}

/** `client.runSealed` of `client.RunSealed`. */
export interface ClientRunSealed {
  readonly _: 'client.runSealed';
  /** 32 bytes. */
  readonly request_id: Uint8Array;
  /** 16 bytes. */
  readonly key_id: Uint8Array;
  readonly kem: number;
  readonly kdf: number;
  readonly aead: number;
  readonly params_version: number;
  readonly model_name: string;
  readonly max_tokens: number;
  readonly max_coefficient: number;
  readonly timeout_ms: bigint;
  readonly timestamp_ms: bigint;
  readonly flags: number;
  readonly enc: Uint8Array;
  readonly sealed: Uint8Array;
}

/** `proxy.runSealed` of `proxy.RunSealed`. */
export interface ProxyRunSealed {
  readonly _: 'proxy.runSealed';
  /** 32 bytes. */
  readonly request_id: Uint8Array;
  /** 32 bytes. */
  readonly client_request_id: Uint8Array;
  /** 16 bytes. */
  readonly key_id: Uint8Array;
  readonly kem: number;
  readonly kdf: number;
  readonly aead: number;
  readonly params_version: number;
  readonly client_contract: string;
  readonly model_name: string;
  readonly max_tokens: number;
  readonly max_coefficient: number;
  readonly timeout_ms: bigint;
  readonly timestamp_ms: bigint;
  readonly coefficient: bigint;
  readonly signed_payment: TlByType['proxy.SignedPayment'];
  readonly timeout: number;
  readonly enc: Uint8Array;
  readonly sealed: Uint8Array;
}

/** `test.query`, answered by `test.Answer`. */
export interface TestQuery {
  readonly _: 'test.query';
  readonly id: bigint;
}

/** `client.connectToProxy`, answered by `client.ConnectedToProxy`. */
export interface ClientConnectToProxy {
  readonly _: 'client.connectToProxy';
  readonly params: ClientParams;
  readonly min_config_version: number;
}

/** `client.authorizeWithProxyShort`, answered by `client.AuthorizationWithProxy`. */
export interface ClientAuthorizeWithProxyShort {
  readonly _: 'client.authorizeWithProxyShort';
  readonly data: Uint8Array;
}

/** `client.authorizeWithProxyLong`, answered by `client.AuthorizationWithProxy`. */
export interface ClientAuthorizeWithProxyLong {
  readonly _: 'client.authorizeWithProxyLong';
}

/** `client.runQuery`, answered by `client.QueryAnswer`. */
export interface ClientRunQuery {
  readonly _: 'client.runQuery';
  readonly model_name: string;
  readonly query: Uint8Array;
  readonly max_coefficient: number;
  readonly max_tokens: number;
  readonly timeout: number;
  /** 32 bytes. */
  readonly request_id: Uint8Array;
  readonly min_config_version: number;
}

/** `client.runQueryEx`, answered by `client.QueryAnswerEx`. */
export interface ClientRunQueryEx {
  readonly _: 'client.runQueryEx';
  readonly model_name: string;
  readonly query: Uint8Array;
  readonly max_coefficient: number;
  readonly max_tokens: number;
  readonly timeout: number;
  /** 32 bytes. */
  readonly request_id: Uint8Array;
  readonly min_config_version: number;
  readonly flags: number;
  /** Present when bit 0 of flags is set. */
  readonly enable_debug?: boolean;
  /** Present when bit 1 of flags is set. */
  readonly public_key?: Uint8Array;
}

/** `client.requestRefund`, answered by `client.Refund`. */
export interface ClientRequestRefund {
  readonly _: 'client.requestRefund';
}

/** `client.updatePaymentStatus`, answered by `client.PaymentStatus`. */
export interface ClientUpdatePaymentStatus {
  readonly _: 'client.updatePaymentStatus';
}

/** `client.getWorkerTypes`, answered by `client.WorkerTypes`. */
export interface ClientGetWorkerTypes {
  readonly _: 'client.getWorkerTypes';
}

/** `client.getWorkerTypesV2`, answered by `client.WorkerTypesV2`. */
export interface ClientGetWorkerTypesV2 {
  readonly _: 'client.getWorkerTypesV2';
}

/** `proxy.runQuery`, answered by `proxy.QueryAnswer`. */
export interface ProxyRunQuery {
  readonly _: 'proxy.runQuery';
  readonly query: Uint8Array;
  readonly signed_payment: TlByType['proxy.SignedPayment'];
  readonly coefficient: bigint;
  readonly timeout: number;
  /** 32 bytes. */
  readonly request_id: Uint8Array;
}

/** `proxy.runQueryEx`, answered by `proxy.QueryAnswer`. */
export interface ProxyRunQueryEx {
  readonly _: 'proxy.runQueryEx';
  readonly query: Uint8Array;
  readonly signed_payment: TlByType['proxy.SignedPayment'];
  readonly coefficient: bigint;
  readonly timeout: number;
  /** 32 bytes. */
  readonly request_id: Uint8Array;
  readonly flags: number;
  /** Present when bit 0 of flags is set. */
  readonly enable_debug?: boolean;
  /** Present when bit 1 of flags is set. */
  readonly private_key?: Uint8Array;
}

/** `worker.connectToProxy`, answered by `worker.ConnectedToProxy`. */
export interface WorkerConnectToProxy {
  readonly _: 'worker.connectToProxy';
  readonly params: WorkerParams;
}

/** `worker.compareBalanceWithProxy`, answered by `worker.CompareBalanceWithProxyResult`. */
export interface WorkerCompareBalanceWithProxy {
  readonly _: 'worker.compareBalanceWithProxy';
  readonly tokens_committed_to_blockchain: bigint;
  readonly tokens_committed_to_db: bigint;
  readonly max_tokens: bigint;
}

/** `worker.extendedCompareBalanceWithProxy`, answered by `worker.ExtendedCompareBalanceWithProxyResult`. */
export interface WorkerExtendedCompareBalanceWithProxy {
  readonly _: 'worker.extendedCompareBalanceWithProxy';
  readonly tokens_committed_to_db: bigint;
  readonly other: Uint8Array;
}

/** `worker.proxyHandshakeComplete`, answered by `worker.HandshakeCompleted`. */
export interface WorkerProxyHandshakeComplete {
  readonly _: 'worker.proxyHandshakeComplete';
  readonly is_disabled: boolean;
}

/** `worker.updatePaymentStatus`, answered by `worker.PaymentStatus`. */
export interface WorkerUpdatePaymentStatus {
  readonly _: 'worker.updatePaymentStatus';
}

/** `worker.changeModel`, answered by `worker.ChangedModel`. */
export interface WorkerChangeModel {
  readonly _: 'worker.changeModel';
  readonly new_model: string;
}

/** `keyManager.getWorkerPrivateKeys`, answered by `keyManager.PrivateKeys`. */
export interface KeyManagerGetWorkerPrivateKeys {
  readonly _: 'keyManager.getWorkerPrivateKeys';
  readonly proto_version: number;
}

/** `keyManager.getProxyPrivateKeys`, answered by `keyManager.PrivateKeys`. */
export interface KeyManagerGetProxyPrivateKeys {
  readonly _: 'keyManager.getProxyPrivateKeys';
  readonly proto_version: number;
}

/** `http.request`, answered by `http.Response`. */
export interface HttpRequest {
  readonly _: 'http.request';
  readonly method: string;
  readonly url: string;
  readonly http_version: string;
  readonly headers: readonly HttpHeader[];
  readonly payload: Uint8Array;
}

/** `keyManager.getWorkerPrivateKeys@2025-12`, answered by `keyManager.PrivateKeys`. */
export interface KeyManagerGetWorkerPrivateKeys202512 {
  readonly _: 'keyManager.getWorkerPrivateKeys@2025-12';
  readonly min_config_version: number;
}

/** `keyManager.getProxyPrivateKeys@2025-12`, answered by `keyManager.PrivateKeys`. */
export interface KeyManagerGetProxyPrivateKeys202512 {
  readonly _: 'keyManager.getProxyPrivateKeys@2025-12';
  readonly min_config_version: number;
}

/** `attest.challenge`, answered by `attest.Evidence`. */
export interface AttestChallenge {
  readonly _: 'attest.challenge';
  /** 32 bytes. */
  readonly nonce: Uint8Array;
}

/** `cocoon.explainChoice`, answered by `cocoon.ChoiceExplanation`. */
export interface CocoonExplainChoice {
  readonly _: 'cocoon.explainChoice';
}

/** `cocoon.publishSealKey`, answered by `cocoon.SealKeyAccepted`. */
export interface CocoonPublishSealKey {
  readonly _: 'cocoon.publishSealKey';
  readonly key: CocoonSealKey;
}

/** `cocoon.getSealOffers`, answered by `cocoon.SealOffers`. */
export interface CocoonGetSealOffers {
  readonly _: 'cocoon.getSealOffers';
  readonly model_name: string;
  readonly limit: number;
}

/** `cocoon.getSealKey`, answered by `cocoon.SealKey`. */
export interface CocoonGetSealKey {
  readonly _: 'cocoon.getSealKey';
  /** 16 bytes. */
  readonly key_id: Uint8Array;
}

/** Objects by constructor name. */
export interface TlObjectByName {
  'tcp.ping': TcpPing;
  'tcp.pong': TcpPong;
  'tcp.packet': TcpPacket;
  'tcp.queryAnswer': TcpQueryAnswer;
  'tcp.queryError': TcpQueryError;
  'tcp.query': TcpQuery;
  'tcp.connected': TcpConnected;
  'tcp.connect': TcpConnect;
  'ton.blockIdExt': TonBlockIdExt;
  'test.answer': TestAnswer;
  'proxyRunner.config': ProxyRunnerConfig;
  'workerRunner.config': WorkerRunnerConfig;
  'clientRunner.config': ClientRunnerConfig;
  'keyStorageRunner.config': KeyStorageRunnerConfig;
  'rootConfig.registeredProxy': RootConfigRegisteredProxy;
  'rootConfig.registeredPublicKey': RootConfigRegisteredPublicKey;
  'rootConfig.pseudo': RootConfigPseudo;
  'rootConfig.configV5': RootConfigConfigV5;
  'rootConfig.configV7': RootConfigConfigV7;
  'proxyDb.clientInfo': ProxyDbClientInfo;
  'proxyDb.clientInfoV2': ProxyDbClientInfoV2;
  'proxyDb.workerInfo': ProxyDbWorkerInfo;
  'proxyDb.pendingBlockchainSeqnoCommit': ProxyDbPendingBlockchainSeqnoCommit;
  'proxyDb.configEmpty': ProxyDbConfigEmpty;
  'proxyDb.configV4': ProxyDbConfigV4;
  'proxyDb.configV4Disabled': ProxyDbConfigV4Disabled;
  'proxyDb.oldClient': ProxyDbOldClient;
  'proxyDb.oldWorker': ProxyDbOldWorker;
  'proxyDb.oldInstance': ProxyDbOldInstance;
  'keyManagerDb.configEmpty': KeyManagerDbConfigEmpty;
  'keyManagerDb.configV1': KeyManagerDbConfigV1;
  'keyManagerDb.key': KeyManagerDbKey;
  'tokensUsed': TokensUsed;
  'worker.params': WorkerParams;
  'proxy.params': ProxyParams;
  'client.params': ClientParams;
  'client.proxyConnectionAuthShort': ClientProxyConnectionAuthShort;
  'client.proxyConnectionAuthLong': ClientProxyConnectionAuthLong;
  'client.authorizationWithProxySuccess': ClientAuthorizationWithProxySuccess;
  'client.authorizationWithProxyFailed': ClientAuthorizationWithProxyFailed;
  'client.connectedToProxy': ClientConnectedToProxy;
  'client.queryAnswer': ClientQueryAnswer;
  'client.queryAnswerError': ClientQueryAnswerError;
  'client.queryAnswerPart': ClientQueryAnswerPart;
  'client.queryAnswerPartError': ClientQueryAnswerPartError;
  'client.queryFinalInfo': ClientQueryFinalInfo;
  'client.queryAnswerEx': ClientQueryAnswerEx;
  'client.queryAnswerErrorEx': ClientQueryAnswerErrorEx;
  'client.queryAnswerPartEx': ClientQueryAnswerPartEx;
  'client.refund': ClientRefund;
  'client.refundRejected': ClientRefundRejected;
  'client.workerType': ClientWorkerType;
  'client.workerTypes': ClientWorkerTypes;
  'client.workerInstanceV2': ClientWorkerInstanceV2;
  'client.workerTypeV2': ClientWorkerTypeV2;
  'client.workerTypesV2': ClientWorkerTypesV2;
  'client.paymentStatus': ClientPaymentStatus;
  'proxy.clientRequestPayment': ProxyClientRequestPayment;
  'proxy.signedPayment': ProxySignedPayment;
  'proxy.signedPaymentEmpty': ProxySignedPaymentEmpty;
  'proxy.queryAnswer': ProxyQueryAnswer;
  'proxy.queryAnswerError': ProxyQueryAnswerError;
  'proxy.queryAnswerPart': ProxyQueryAnswerPart;
  'proxy.queryAnswerPartError': ProxyQueryAnswerPartError;
  'proxy.queryFinalInfo': ProxyQueryFinalInfo;
  'proxy.queryAnswerEx': ProxyQueryAnswerEx;
  'proxy.queryAnswerErrorEx': ProxyQueryAnswerErrorEx;
  'proxy.queryAnswerPartEx': ProxyQueryAnswerPartEx;
  'proxy.workerRequestPayment': ProxyWorkerRequestPayment;
  'worker.enabledDisabled': WorkerEnabledDisabled;
  'worker.newCoefficient': WorkerNewCoefficient;
  'worker.connectedToProxy': WorkerConnectedToProxy;
  'worker.compareBalanceWithProxyResult': WorkerCompareBalanceWithProxyResult;
  'worker.extendedCompareBalanceWithProxyResult': WorkerExtendedCompareBalanceWithProxyResult;
  'worker.proxyHandshakeCompleted': WorkerProxyHandshakeCompleted;
  'worker.paymentStatus': WorkerPaymentStatus;
  'worker.changedModel': WorkerChangedModel;
  'keyManager.privateKey': KeyManagerPrivateKey;
  'keyManager.privateKeys': KeyManagerPrivateKeys;
  'http.header': HttpHeader;
  'http.response': HttpResponse;
  'proxyRunner.config@2025-12': ProxyRunnerConfig202512;
  'workerRunner.config@2025-12': WorkerRunnerConfig202512;
  'keyStorageRunner.config@2025-12': KeyStorageRunnerConfig202512;
  'rootConfig.pseudo@2025-12': RootConfigPseudo202512;
  'keyManagerDb.key@2025-12': KeyManagerDbKey202512;
  'client.cancelQuery': ClientCancelQuery;
  'proxy.cancelQuery': ProxyCancelQuery;
  'attest.tdx': AttestTdx;
  'attest.sevSnp': AttestSevSnp;
  'attest.simulated': AttestSimulated;
  'cocoon.choiceExplanation': CocoonChoiceExplanation;
  'cocoon.sealKey': CocoonSealKey;
  'cocoon.sealKeyAccepted': CocoonSealKeyAccepted;
  'cocoon.sealOffer': CocoonSealOffer;
  'cocoon.sealOffers': CocoonSealOffers;
  'client.runSealed': ClientRunSealed;
  'proxy.runSealed': ProxyRunSealed;
}

/** Functions by constructor name. */
export interface TlFunctionByName {
  'test.query': TestQuery;
  'client.connectToProxy': ClientConnectToProxy;
  'client.authorizeWithProxyShort': ClientAuthorizeWithProxyShort;
  'client.authorizeWithProxyLong': ClientAuthorizeWithProxyLong;
  'client.runQuery': ClientRunQuery;
  'client.runQueryEx': ClientRunQueryEx;
  'client.requestRefund': ClientRequestRefund;
  'client.updatePaymentStatus': ClientUpdatePaymentStatus;
  'client.getWorkerTypes': ClientGetWorkerTypes;
  'client.getWorkerTypesV2': ClientGetWorkerTypesV2;
  'proxy.runQuery': ProxyRunQuery;
  'proxy.runQueryEx': ProxyRunQueryEx;
  'worker.connectToProxy': WorkerConnectToProxy;
  'worker.compareBalanceWithProxy': WorkerCompareBalanceWithProxy;
  'worker.extendedCompareBalanceWithProxy': WorkerExtendedCompareBalanceWithProxy;
  'worker.proxyHandshakeComplete': WorkerProxyHandshakeComplete;
  'worker.updatePaymentStatus': WorkerUpdatePaymentStatus;
  'worker.changeModel': WorkerChangeModel;
  'keyManager.getWorkerPrivateKeys': KeyManagerGetWorkerPrivateKeys;
  'keyManager.getProxyPrivateKeys': KeyManagerGetProxyPrivateKeys;
  'http.request': HttpRequest;
  'keyManager.getWorkerPrivateKeys@2025-12': KeyManagerGetWorkerPrivateKeys202512;
  'keyManager.getProxyPrivateKeys@2025-12': KeyManagerGetProxyPrivateKeys202512;
  'attest.challenge': AttestChallenge;
  'cocoon.explainChoice': CocoonExplainChoice;
  'cocoon.publishSealKey': CocoonPublishSealKey;
  'cocoon.getSealOffers': CocoonGetSealOffers;
  'cocoon.getSealKey': CocoonGetSealKey;
}

/** The constructors of each type, as they travel where the type is boxed. */
export interface TlByType {
  'tcp.Packet': TcpPing | TcpPong | TcpPacket | TcpQueryAnswer | TcpQueryError | TcpQuery | TcpConnected | TcpConnect;
  'ton.BlockIdExt': TonBlockIdExt;
  'test.Answer': TestAnswer;
  'proxyRunner.Config': ProxyRunnerConfig | ProxyRunnerConfig202512;
  'workerRunner.Config': WorkerRunnerConfig | WorkerRunnerConfig202512;
  'clientRunner.Config': ClientRunnerConfig;
  'keyStorageRunner.Config': KeyStorageRunnerConfig | KeyStorageRunnerConfig202512;
  'rootConfig.RegisteredProxy': RootConfigRegisteredProxy;
  'rootConfig.RegisteredPublicKey': RootConfigRegisteredPublicKey;
  'rootConfig.Config': RootConfigPseudo | RootConfigConfigV5 | RootConfigConfigV7 | RootConfigPseudo202512;
  'proxyDb.ClientInfo': ProxyDbClientInfo | ProxyDbClientInfoV2;
  'proxyDb.WorkerInfo': ProxyDbWorkerInfo;
  'proxyDb.PendingBlockchainSeqnoCommit': ProxyDbPendingBlockchainSeqnoCommit;
  'proxyDb.Config': ProxyDbConfigEmpty | ProxyDbConfigV4 | ProxyDbConfigV4Disabled;
  'proxyDb.OldClient': ProxyDbOldClient;
  'proxyDb.OldWorker': ProxyDbOldWorker;
  'proxyDb.OldInstance': ProxyDbOldInstance;
  'keyManagerDb.Config': KeyManagerDbConfigEmpty | KeyManagerDbConfigV1;
  'keyManagerDb.Key': KeyManagerDbKey | KeyManagerDbKey202512;
  'TokensUsed': TokensUsed;
  'worker.Params': WorkerParams;
  'proxy.Params': ProxyParams;
  'client.Params': ClientParams;
  'client.ProxyConnectionAuth': ClientProxyConnectionAuthShort | ClientProxyConnectionAuthLong;
  'client.AuthorizationWithProxy': ClientAuthorizationWithProxySuccess | ClientAuthorizationWithProxyFailed;
  'client.ConnectedToProxy': ClientConnectedToProxy;
  'client.QueryAnswer': ClientQueryAnswer | ClientQueryAnswerError;
  'client.QueryAnswerPart': ClientQueryAnswerPart | ClientQueryAnswerPartError;
  'client.QueryFinalInfo': ClientQueryFinalInfo;
  'client.QueryAnswerEx': ClientQueryAnswerEx | ClientQueryAnswerErrorEx | ClientQueryAnswerPartEx;
  'client.Refund': ClientRefund | ClientRefundRejected;
  'client.WorkerType': ClientWorkerType;
  'client.WorkerTypes': ClientWorkerTypes;
  'client.WorkerInstanceV2': ClientWorkerInstanceV2;
  'client.WorkerTypeV2': ClientWorkerTypeV2;
  'client.WorkerTypesV2': ClientWorkerTypesV2;
  'client.PaymentStatus': ClientPaymentStatus;
  'proxy.WorkerRequestPayment': ProxyClientRequestPayment | ProxyWorkerRequestPayment;
  'proxy.SignedPayment': ProxySignedPayment | ProxySignedPaymentEmpty;
  'proxy.QueryAnswer': ProxyQueryAnswer | ProxyQueryAnswerError;
  'proxy.QueryAnswerPart': ProxyQueryAnswerPart | ProxyQueryAnswerPartError;
  'proxy.QueryFinalInfo': ProxyQueryFinalInfo;
  'proxy.QueryAnswerEx': ProxyQueryAnswerEx | ProxyQueryAnswerErrorEx | ProxyQueryAnswerPartEx;
  'worker.EnabledDisabled': WorkerEnabledDisabled;
  'worker.NewCoefficient': WorkerNewCoefficient;
  'worker.ConnectedToProxy': WorkerConnectedToProxy;
  'worker.CompareBalanceWithProxyResult': WorkerCompareBalanceWithProxyResult;
  'worker.ExtendedCompareBalanceWithProxyResult': WorkerExtendedCompareBalanceWithProxyResult;
  'worker.HandshakeCompleted': WorkerProxyHandshakeCompleted;
  'worker.PaymentStatus': WorkerPaymentStatus;
  'worker.ChangedModel': WorkerChangedModel;
  'keyManager.PrivateKey': KeyManagerPrivateKey;
  'keyManager.PrivateKeys': KeyManagerPrivateKeys;
  'http.Header': HttpHeader;
  'http.Response': HttpResponse;
  'client.CancelQuery': ClientCancelQuery;
  'proxy.CancelQuery': ProxyCancelQuery;
  'attest.Evidence': AttestTdx | AttestSevSnp | AttestSimulated;
  'cocoon.ChoiceExplanation': CocoonChoiceExplanation;
  'cocoon.SealKey': CocoonSealKey;
  'cocoon.SealKeyAccepted': CocoonSealKeyAccepted;
  'cocoon.SealOffer': CocoonSealOffer;
  'cocoon.SealOffers': CocoonSealOffers;
  'client.RunSealed': ClientRunSealed;
  'proxy.RunSealed': ProxyRunSealed;
}

/** The type that the schema gives for the answer of each function. */
export interface TlResultByName {
  'test.query': TlByType['test.Answer'];
  'client.connectToProxy': TlByType['client.ConnectedToProxy'];
  'client.authorizeWithProxyShort': TlByType['client.AuthorizationWithProxy'];
  'client.authorizeWithProxyLong': TlByType['client.AuthorizationWithProxy'];
  'client.runQuery': TlByType['client.QueryAnswer'];
  'client.runQueryEx': TlByType['client.QueryAnswerEx'];
  'client.requestRefund': TlByType['client.Refund'];
  'client.updatePaymentStatus': TlByType['client.PaymentStatus'];
  'client.getWorkerTypes': TlByType['client.WorkerTypes'];
  'client.getWorkerTypesV2': TlByType['client.WorkerTypesV2'];
  'proxy.runQuery': TlByType['proxy.QueryAnswer'];
  'proxy.runQueryEx': TlByType['proxy.QueryAnswer'];
  'worker.connectToProxy': TlByType['worker.ConnectedToProxy'];
  'worker.compareBalanceWithProxy': TlByType['worker.CompareBalanceWithProxyResult'];
  'worker.extendedCompareBalanceWithProxy': TlByType['worker.ExtendedCompareBalanceWithProxyResult'];
  'worker.proxyHandshakeComplete': TlByType['worker.HandshakeCompleted'];
  'worker.updatePaymentStatus': TlByType['worker.PaymentStatus'];
  'worker.changeModel': TlByType['worker.ChangedModel'];
  'keyManager.getWorkerPrivateKeys': TlByType['keyManager.PrivateKeys'];
  'keyManager.getProxyPrivateKeys': TlByType['keyManager.PrivateKeys'];
  'http.request': TlByType['http.Response'];
  'keyManager.getWorkerPrivateKeys@2025-12': TlByType['keyManager.PrivateKeys'];
  'keyManager.getProxyPrivateKeys@2025-12': TlByType['keyManager.PrivateKeys'];
  'attest.challenge': TlByType['attest.Evidence'];
  'cocoon.explainChoice': TlByType['cocoon.ChoiceExplanation'];
  'cocoon.publishSealKey': TlByType['cocoon.SealKeyAccepted'];
  'cocoon.getSealOffers': TlByType['cocoon.SealOffers'];
  'cocoon.getSealKey': TlByType['cocoon.SealKey'];
}

export interface TlByName extends TlObjectByName, TlFunctionByName {}

export type TlName = keyof TlByName;
export type TlTypeName = keyof TlByType;

/** Any object that travels with its constructor id. */
export type TlObject = TlObjectByName[keyof TlObjectByName];

/** Any function, the content of a `tcp.query`. */
export type TlFunction = TlFunctionByName[keyof TlFunctionByName];
